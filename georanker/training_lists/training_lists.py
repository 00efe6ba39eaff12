"""The lists that a ranker trains on, made of the neighbours of photos: in shards, by any number of processes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from torch.utils.data import Subset

from georanker.candidates import write_candidates
from georanker.data.base import GeoDataModule
from georanker.data.placed import placed
from georanker.gazetteer import ATTRIBUTION, gazetteer
from georanker.georanking import told, write_georanking
from georanker.job_folder import OTHERWISE, differing
from georanker.retrievers.base import Retriever, rows_of
from georanker.retrievers.gallery import Gallery
from georanker.training_lists.distinct_neighbours import DistinctNeighbours
from georanker.training_lists.shards import UNREAD, Shards
from georanker.types import CandidateList, GeorankerError, NothingReadError, Photo, Place

FORMAT_VERSION = 1
_AT_ONCE = 1024


class TrainingLists:
    """Makes GeoRanking.parquet and a candidates file of one split.

    Args:
        data: holds the photos.
        split: which of them.
        model: embeds them.
        neighbours: finds their candidates.
        negatives: so many of the last candidates become negatives.
        out: the folder to write.
        count: so many of the photos, evenly spread; None for all.
        photos_a_shard: is rounded up to whole batches, so that each batch is the same for any number of processes.

    Raises:
        GeorankerError: there are no photos, the retriever did not make the gallery, or nothing is known of what is
            related to the photos.
    """

    def __init__(
        self,
        data: GeoDataModule,
        split: str,
        model: Retriever,
        neighbours: DistinctNeighbours,
        negatives: int,
        out: Path,
        count: int | None,
        photos_a_shard: int,
    ) -> None:
        self.data, self.split, self.model, self.neighbours, self.negatives = data, split, model, neighbours, negatives
        self.gallery, self.related = neighbours.gallery, neighbours.related
        self.photos = placed(data.photos(split), split, data.on_bad_rows)
        if not len(self.photos):
            raise GeorankerError(f"the split {split} has no photos")
        count = min(count or len(self.photos), len(self.photos))
        self.rows: np.ndarray = np.arange(count) * len(self.photos) // count
        """Of the photos that are taken."""
        self.retriever = model.fingerprint()
        self.gallery.check_fingerprint(self.retriever)
        self.candidates_file = out / f"{split}.parquet"
        self.file = out / ("GeoRanking.parquet" if split == "train" else f"GeoRanking_{split}.parquet")
        shard = -(-photos_a_shard // data.batch_size) * data.batch_size
        self.shards = Shards(out / f"{split}.parts", self._origin(shard), len(self.rows), shard)

    def run(self, rank: int, processes: int, console: Console) -> None:
        """Do the share of one process; the one that ends last writes the files.

        Args:
            rank: of this process.
            processes: how many there are.
            console: for the progress.

        Raises:
            GeorankerError: the folder holds what was made otherwise, a photo cannot be read, or no candidate is left
                for it.
        """
        if self._is_done():
            self.shards.remove()
            console.print(f"{self.file} is there already, made with the same settings", soft_wrap=True)
            return
        self._begin()
        while True:
            mine = [number for number in self.shards.missing() if number % processes == rank]
            if self._is_done():
                return  # in this order: the process that writes the files removes the shards
            if not mine:
                break
            try:
                self._add(mine, console)
            except GeorankerError:
                if processes == 1 and len(self.shards.missing()) == len(self.shards):
                    self.shards.remove()  # nothing is lost, and the corrected command finds no other's folder
                raise
        with self.shards.alone() as there:
            missing = self.shards.missing() if there else ()
            if there and not missing:
                self._write(Console(soft_wrap=True))
        if missing:
            console.print(
                f"{len(missing):,} of {len(self.shards):,} shards are left to other processes", soft_wrap=True
            )

    def _begin(self) -> None:
        """Take the folder, unless it holds what was made otherwise."""
        for file in (self.candidates_file, self.file):
            mine = told(self.file).get("origin") == self.shards.origin or self.shards.is_mine()
            if file.exists() and not mine:
                found = differing(told(self.file).get("origin"), self.shards.origin)
                raise GeorankerError(f"{file}: is there and {found}; {OTHERWISE}")
        self.shards.begin()

    def _is_done(self) -> bool:
        return self.candidates_file.exists() and told(self.file).get("origin") == self.shards.origin

    def _add(self, numbers: Sequence[int], console: Console) -> None:
        """Make some shards."""
        spans = [self.shards.span(number) for number in numbers]
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn()
        with Progress(*columns, console=console) as progress:
            task = progress.add_task(f"Finding neighbours for {self.split}", total=sum(map(len, spans)))
            stream = self._batches([at for span in spans for at in span])
            for number, span in zip(numbers, spans, strict=True):
                lists: list[CandidateList] = []
                left_out: Counter[str] = Counter()
                for found, reasons in islice(stream, -(-len(span) // self.data.batch_size)):
                    lists += found
                    left_out += reasons
                    progress.advance(task, len(found))
                progress.advance(task, len(span) - len(lists))
                self.shards.add(number, lists, self.retriever, self.gallery.folder, left_out)

    @torch.inference_mode()
    def _batches(self, places: Sequence[int]) -> Iterator[tuple[list[CandidateList], Counter[str]]]:
        """Yield the lists of each batch of photos, and what was left out of them; a shard is made of whole batches."""
        self.model.eval()
        self.data.loader(self.photos, self.model.collator)  # lets data prepare a whole split, before there are workers
        photos: Sequence[Photo] = Subset(self.photos, self.rows[places].tolist())  # type: ignore[arg-type, assignment]
        size, start, done = self.data.batch_size, 0, 0
        nothing = list[CandidateList](), Counter[str]()
        for batch in self.data.photo_loader(photos, self.model.collator, part=True):
            rows = rows_of(batch, photos, start)
            yield from [nothing] * (rows[0] // size - done)  # for batches of which no photo could be read
            start, done = rows[-1] + 1, rows[0] // size + 1
            vectors = self.model.embed_photos(batch.to(self.model.device)).float().cpu().numpy()
            self.neighbours.left_out.clear()
            found = self.neighbours.of([photos[row] for row in rows], vectors)
            left_out = self.neighbours.left_out.copy()
            yield list(gazetteer().named_lists(map(self._split_off, found))), left_out
        yield from [nothing] * (-(-len(places) // size) - done)

    def _split_off(self, found: CandidateList) -> CandidateList:
        """Make negatives of the last candidates; where there are fewer than asked for, candidates come first."""
        kept = self.neighbours.top_k - self.negatives
        return replace(found, candidates=found.candidates[:kept], negatives=found.candidates[kept:])

    def _write(self, console: Console) -> None:
        """Put the shards together."""
        left_out = self.shards.counts()
        unread = left_out.pop(UNREAD, 0)
        if unread == len(self.rows):
            raise NothingReadError(
                f"not one of the {unread:,} photos of {self.split} could be read; see data.photos, and delete "
                f"{self.shards.folder} to try them again"
            )
        short: Counter[int] = Counter()
        write_candidates(self.candidates_file, self.shards.lists(), self.retriever, self.gallery.folder, ATTRIBUTION)
        written = write_georanking(
            self.file,
            self._with_places(short),
            {"origin": self.shards.origin, "left_out": left_out, "attribution": ATTRIBUTION},
        )
        self.shards.remove()
        console.print(f"  lists        {self.file}, {written:,} rows", highlight=False)
        console.print(f"  candidates   {self.candidates_file}", highlight=False)
        for reason, count in sorted(left_out.items()):
            console.print(f"  left out     {count:,} of the nearest: {reason}", highlight=False)
        if unread:
            console.print(f"  left out     {unread:,} {UNREAD}", highlight=False)
        if short:
            fewer = f"have fewer than {self.neighbours.top_k} references, the least {min(short)}"
            console.print(f"  short        {short.total():,} lists {fewer}; GeoRanking takes those that fill its ranks")

    def _with_places(self, short: Counter[int]) -> Iterator[tuple[Place, CandidateList]]:
        """Yield lists with the places of their photos, and count the lengths of those that are short."""
        lists = self.shards.lists()
        found = next(lists, None)
        for photos in self._taken():
            for photo, place in zip(photos, gazetteer().named([_place(photo) for photo in photos]), strict=True):
                if found is not None and found.photo.id == photo.id:  # or else it could not be read
                    length = len(found.candidates) + len(found.negatives)
                    if length < self.neighbours.top_k:
                        short[length] += 1
                    yield place, found
                    found = next(lists, None)

    def _taken(self) -> Iterator[list[Photo]]:
        """Yield all photos that are taken, some at a time."""
        for start in range(0, len(self.rows), _AT_ONCE):
            yield [self.photos[row] for row in self.rows[start : start + _AT_ONCE].tolist()]

    def _origin(self, photos_a_shard: int) -> dict[str, object]:
        """Return all that the files depend on, by the option that it comes from."""
        photos, known = hashlib.sha256(), 0
        for some in self._taken():
            photos.update(repr([(photo.id, _place(photo)) for photo in some]).encode())
            if self.related is not None:
                known += self.related.known(photo.id for photo in some)
        if self.related is not None:
            self.related.check(known, len(self.rows), self.photos[0].id, f"photos of {self.split}")
        return {
            "format": FORMAT_VERSION,
            "data": {**self.data.settings(), "photos": photos.hexdigest()[:16]},
            "batch_size": self.data.batch_size,
            "retriever": self.retriever,
            "gallery": _fingerprint(self.gallery),
            "top_k": self.neighbours.top_k,
            "negatives": self.negatives,
            "duplicate_cosine": self.neighbours.duplicate_cosine,
            "related": self.related.fingerprint() if self.related else "",
            "photos_a_shard": photos_a_shard,
        }


def _place(photo: Photo) -> Place:
    assert photo.place is not None
    return photo.place


def _fingerprint(gallery: Gallery) -> str:
    """Return what tells a gallery from others: a hash of its places and of some of its vectors."""
    digest = hashlib.sha256(np.ascontiguousarray(gallery.embeddings[:: len(gallery) // _AT_ONCE + 1]).tobytes())
    assert gallery.folder is not None
    with (gallery.folder / "places.parquet").open("rb") as file:
        for part in iter(lambda: file.read(1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()[:16]


class _Speed(ProgressColumn):
    """Photos a second."""

    def render(self, task: Task) -> Text:
        """Return the mean over the last half minute."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} photos/s" if speed else "", style="progress.data.speed")
