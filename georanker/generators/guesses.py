"""What a generator answers about all photos of a split: asked in parts by any number of processes, and kept."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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
from georanker.parts import Parts, check_distinct
from georanker.types import Candidate, CandidateList, GeorankerError, NothingReadError, Photo, Place

FORMAT_VERSION = "1"
_SCHEMA = pa.schema({"photo_id": pa.string(), "answers": pa.list_(pa.string())})
_ORIGIN = b"georanker.answers"
_AT_ONCE = 16


class Guesses:
    """Asks about each photo once, and keeps the answers as they are, since they are dear.

    A photo that the model refuses has no answers; one that cannot be read has null, and is asked about again by the
    next run.

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
        check_distinct(self.ids, "the data" if lists is None else lists.origin)
        self.origin = {
            "format": FORMAT_VERSION,
            "generator": generator.fingerprint(),
            "photos": _hashed(self.ids),
            "candidates": _hashed(self._told()) if generator.question.tells_places else "",
        }
        schema = _SCHEMA.with_metadata({_ORIGIN: json.dumps(self.origin).encode()})
        self.parts = Parts(file.with_suffix(".parts"), schema, self.origin)

    def ask(self, rank: int, processes: int, console: Console) -> bool:
        """Ask about what is left of one process's share; the process that ends last puts all answers into the file.

        Args:
            rank: of this process.
            processes: how many there are.
            console: for the progress.

        Returns:
            Whether this is that process; where the file was there before, whether it is the first.

        Raises:
            GeorankerError: the file holds answers of another generator or about other photos, or none can be had.
        """
        again = self.file.exists()
        if again and not (rank == 0 and self._reopened()):
            return rank == 0
        done = self.parts.begin()
        if self.file.exists():  # another process has just made it
            self.parts.remove()
            return False
        share = range(len(self.ids)) if again else range(rank, len(self.ids), processes)  # the others may be gone
        mine = [row for row in share if self.ids[row] not in done]
        size = max(_AT_ONCE, 2 * self.generator.at_once)
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        with Progress(*columns, console=console) as bar, ThreadPoolExecutor(self.generator.at_once) as pool:
            task = bar.add_task("Guessing", total=len(mine))
            answered = bool(done)
            for start in range(0, len(mine), size):
                answered |= self._ask_some(mine[start : start + size], pool, bar, task, answered, processes == 1)
        return self._merged(Console(soft_wrap=True, highlight=False))

    def _reopened(self) -> bool:
        """Let photos that could not be read be asked about again; returns whether there are any."""
        found = self._found_origin()
        if found != self.origin:
            raise GeorankerError(f"{self.file}: is there and {differing(found, self.origin)}; {OTHERWISE}")
        if not self._unread():
            if self.parts.is_mine():
                self.parts.remove()
            return False
        self.parts.begin()
        for batch in self._batches(_SCHEMA.names):
            self.parts.add([row for row in batch.to_pylist() if row["answers"] is not None])
        self.file.unlink()
        return True

    def _ask_some(
        self, rows: Sequence[int], pool: ThreadPoolExecutor, bar: Progress, task: TaskID, answered: bool, alone: bool
    ) -> bool:
        """Ask about some photos, and write the answers down, also those that are there when an error comes.

        Returns:
            Whether there was an answer.

        Raises:
            GeorankerError: the model does not answer; or nothing was answered before, and nothing is now. That photos
                cannot be read is none where other processes may read others.
        """
        asked = {row: pool.submit(self._answers, row) for row in rows}
        try:
            for future in asked.values():
                future.result()
                bar.advance(task)
        finally:
            for future in asked.values():
                future.cancel()
            found = {row: future.result() for row, future in asked.items() if _is_done(future)}
            faults = {row: each for row, each in found.items() if isinstance(each, GeorankerError)}
            refused = any(isinstance(each, RefusedError) for each in faults.values())
            hopeless = len(faults) == len(found) and not answered and (alone or refused)
            if not hopeless:
                self.parts.add([self._row(row, each) for row, each in found.items()])
                console = Console() if bar.console.quiet else bar.console
                for fault in faults.values():
                    console.print(f"no guess: {fault}", soft_wrap=True, markup=False, highlight=False)
        if faults and hopeless:
            raise next(iter(faults.values()))
        return len(faults) < len(rows)

    def _row(self, row: int, found: list[str] | GeorankerError) -> dict[str, object]:
        refused: list[str] | None = [] if isinstance(found, RefusedError) else None
        return {"photo_id": self.ids[row], "answers": refused if isinstance(found, GeorankerError) else found}

    def _merged(self, console: Console) -> bool:
        with self.parts.alone() as there:
            if not there:
                return False
            left = len(set(self.ids) - self.parts.begin())
            if not left:
                self.parts.merge(self.file, self.ids)
                self.parts.remove()
                if self.ids and self._unread() == len(self.ids):
                    self.file.unlink()
                    raise NothingReadError(
                        f"not one of {len(self.ids):,} photos could be read; see where data looks for them"
                    )
        if left:
            console.print(f"{left:,} of {len(self.ids):,} photos are left to other processes")
        return not left

    def with_guesses(self) -> Iterator[CandidateList]:
        """Yield the list of each photo with the guesses after what was retrieved; earlier guesses are replaced.

        A photo with neither is passed over.
        """
        for row, answers in enumerate(self.answers()):
            places = [place for place in map(place_in_words, answers) if place is not None]
            found = None if self.lists is None else self.lists[row]
            retrieved = tuple(each for each in found.candidates if each.source != "generated") if found else ()
            below = min((each.score for each in retrieved), default=0.0)  # retrieved places win where scores are equal
            guessed = tuple(Candidate(place, below - at, source="generated") for at, place in enumerate(places, 1))
            if found is not None and retrieved + guessed:
                yield replace(found, candidates=retrieved + guessed)
            elif guessed:
                yield CandidateList(self.photos[row], guessed)

    def answers(self) -> Iterator[list[str]]:
        """Yield the answers to each photo."""
        for told in chain.from_iterable(batch["answers"].to_pylist() for batch in self._batches(["answers"])):
            yield told or []

    def places(self) -> Iterator[Place | None]:
        """Yield what each answer to any photo names."""
        return map(place_in_words, chain.from_iterable(self.answers()))

    def _unread(self) -> int:
        return sum(batch["answers"].null_count for batch in self._batches(["answers"]))

    def _batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        try:
            with pq.ParquetFile(self.file) as file:
                for batch in file.iter_batches(1024, columns=columns):
                    batch.validate(full=True)  # arrow itself takes text that is not UTF-8
                    yield batch
        except (OSError, pa.ArrowException) as error:
            fix = "delete it, and its photos are asked again"
            raise GeorankerError(f"{self.file}: cannot be read ({error}); {fix}") from error

    def _photo(self, row: int) -> tuple[Photo, CandidateList | None]:
        found = None if self.lists is None else self.lists[row]
        return (self.photos[row] if found is None else found.photo), found

    def _told(self) -> Iterator[str]:
        """Yield the texts of all questions."""
        for row in range(len(self.ids)):
            for part in self.generator.question.asked(*self._photo(row)):
                yield part if isinstance(part, str) else ""

    def _answers(self, row: int) -> list[str] | GeorankerError:
        """Return the answers about a photo, or why there are none; what concerns all photos is raised."""
        photo, found = self._photo(row)
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


def _is_done(future: Future[list[str] | GeorankerError]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _hashed(texts: Sequence[str] | Iterator[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{len(text)} {text}\n".encode())
    return digest.hexdigest()[:16]
