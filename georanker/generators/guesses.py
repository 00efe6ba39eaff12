"""What a generator answers about all photos of a split: asked in parts by any number of processes, and kept."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from georanker.candidate_table import CandidateTable
from georanker.generators.base import Generator, RefusedError
from georanker.generators.place_in_words import place_in_words
from georanker.job_folder import OTHERWISE, differing
from georanker.parts import Parts
from georanker.types import Candidate, CandidateList, GeorankerError, Photo, Place

FORMAT_VERSION = "1"
_SCHEMA = pa.schema({"photo_id": pa.string(), "answers": pa.list_(pa.string())})
_ORIGIN = b"georanker.answers"
_AT_ONCE = 16


class Guesses:
    """Asks about each photo once, and keeps the answers as they are, since they are dear.

    Args:
        generator: answers.
        photos: that are asked about.
        lists: their candidates, row by row; None if there are none.
        file: for the answers, in the order of the photos; the folder of the answers so far lies beside it.

    Raises:
        GeorankerError: two photos have the same id.
    """

    def __init__(self, generator: Generator, photos: Sequence[Photo], lists: CandidateTable | None, file: Path) -> None:
        self.generator, self.photos, self.lists, self.file = generator, photos, lists, file
        self.ids = [photo.id for photo in photos] if lists is None else lists.photo_ids
        if len(set(self.ids)) < len(self.ids):
            double = next(each for at, each in enumerate(self.ids) if each in self.ids[:at])
            raise GeorankerError(f"photo {double} is there twice; answers are told apart by the photo's id")
        asked = hashlib.sha256("\0".join(self.ids).encode())
        if lists is not None and generator.question.tells_places:
            asked.update(lists.fingerprint().encode())
        self.origin = {
            "format": FORMAT_VERSION,
            "generator": generator.fingerprint(),
            "photos": asked.hexdigest()[:16],
        }
        told = _SCHEMA.with_metadata({_ORIGIN: json.dumps(self.origin).encode()})
        self.parts = Parts(file.with_suffix(".parts"), told, self.origin)

    def ask(self, rank: int, processes: int, console: Console) -> bool:
        """Ask about what is left of one process's share; the process that ends last puts all answers into the file.

        Returns:
            Whether this is that process; where the file was there before, whether it is the first.

        Args:
            rank: of this process.
            processes: how many there are.
            console: for the progress.

        Raises:
            GeorankerError: the file holds answers of another generator or about other photos, or none can be had.
        """
        if self.file.exists():
            found = self._found_origin()
            if found != self.origin:
                raise GeorankerError(f"{self.file}: is there and {differing(found, self.origin)}; {OTHERWISE}")
            self.parts.remove()
            return rank == 0
        done = self.parts.begin()
        mine = [row for row in range(rank, len(self.ids), processes) if self.ids[row] not in done]
        size = max(_AT_ONCE, 2 * self.generator.at_once)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=console) as bar, ThreadPoolExecutor(self.generator.at_once) as pool:
            task = bar.add_task("Guessing", total=len(mine))
            for start in range(0, len(mine), size):
                self._ask_some(mine[start : start + size], pool, bar, task)
        return self._merged(console)

    def _ask_some(self, rows: Sequence[int], pool: ThreadPoolExecutor, bar: Progress, task: TaskID) -> None:
        """Ask about some photos, and write the answers down, also those that come before an error."""
        kept: list[dict[str, object]] = []
        refused: list[RefusedError] = []
        try:
            for row, found in zip(rows, pool.map(self._answers, rows), strict=True):
                if isinstance(found, RefusedError):
                    refused.append(found)
                if isinstance(found, GeorankerError):
                    bar.console.print(f"no guess: {found}", soft_wrap=True, markup=False, highlight=False)
                kept.append({"photo_id": self.ids[row], "answers": found if isinstance(found, list) else []})
                bar.advance(task)
            if len(refused) == len(rows):
                kept = []
                raise refused[0]
        finally:
            if kept:
                self.parts.add(kept)

    def _merged(self, console: Console) -> bool:
        with self.parts.alone() as there:
            if not there:
                return False
            left = len(set(self.ids) - self.parts.begin())
            if not left:
                self.parts.merge(self.file, self.ids)
                self.parts.remove()
        if left:
            console.print(f"{left:,} of {len(self.ids):,} photos are left to other processes", soft_wrap=True)
        return not left

    def with_guesses(self) -> Iterator[CandidateList]:
        """Yield the list of each photo with the guesses after what was retrieved; earlier guesses are replaced.

        A photo with neither is passed over.
        """
        for row, places in enumerate(self.places()):
            found = None if self.lists is None else self.lists[row]
            retrieved = tuple(each for each in found.candidates if each.source != "generated") if found else ()
            below = min((each.score for each in retrieved), default=0.0)  # retrieved places win where scores are equal
            guessed = tuple(Candidate(place, below - at, source="generated") for at, place in enumerate(places, 1))
            if found is not None and retrieved + guessed:
                yield replace(found, candidates=retrieved + guessed)
            elif guessed:
                yield CandidateList(self.photos[row], guessed)

    def places(self) -> Iterator[list[Place]]:
        """Yield the places that the answers to each photo name."""
        with pq.ParquetFile(self.file) as file:
            batches = file.iter_batches(1024, columns=["answers"])
            for told in chain.from_iterable(batch["answers"].to_pylist() for batch in batches):
                yield [place for place in map(place_in_words, told) if place is not None]

    def _answers(self, row: int) -> list[str] | GeorankerError:
        """Return the answers about a photo, or why there are none; what concerns all photos is raised."""
        found = None if self.lists is None else self.lists[row]
        photo = self.photos[row] if found is None else found.photo
        try:
            image = self.generator.reduced(photo.load())
        except GeorankerError as error:
            return error
        pieces = [image if isinstance(part, Photo) else part for part in self.generator.question.asked(photo, found)]
        try:
            return self.generator.answers(pieces, zlib.crc32(photo.id.encode()))
        except RefusedError as error:
            return error

    def _found_origin(self) -> object:
        try:
            return json.loads((pq.read_schema(self.file).metadata or {})[_ORIGIN])
        except (OSError, ValueError, KeyError, pa.ArrowException):
            return None
