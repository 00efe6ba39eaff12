"""A long job over many photos, cut into shards that any number of processes work off, and that survive a kill."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from georanker.candidates import CandidatesFile, write_candidates
from georanker.files import write_json
from georanker.types import CandidateList, GeorankerError

OTHERWISE = "delete it to start anew, or name another --out"


class Shards:
    """Candidate lists so far: a folder with a candidates file for each shard, which is there whole or not at all.

    Which rows a shard holds depends on its number alone, so that the result is the same for any number of processes,
    and for any number of runs one after the other. `origin.json` says what the lists depend on.

    Args:
        folder: for the shards; all processes must see the same one.
        origin: what the lists depend on, by its name.
        rows: of the whole job.
        size: rows of a shard; the last one has what is left.
    """

    def __init__(self, folder: Path, origin: Mapping[str, object], rows: int, size: int) -> None:
        self.folder, self.rows, self.size = folder, rows, size
        self.origin = dict(origin)

    def begin(self) -> None:
        """Make the folder or take it over, and drop the shards that cannot be read, such as after a power cut.

        Raises:
            GeorankerError: it holds shards of another origin.
        """
        found = _json(self.folder / "origin.json")
        if found != self.origin and (found or any(self.folder.glob("*.parquet"))):
            raise GeorankerError(f"{self.folder}: {differing(found, self.origin)}; {OTHERWISE}")
        if found != self.origin:
            write_json(self.folder / "origin.json", self.origin)
        for number in range(len(self)):
            if self.path(number).exists() and not self._is_whole(number):
                self.path(number).unlink(missing_ok=True)

    def __len__(self) -> int:
        return -(-self.rows // self.size)

    def path(self, number: int) -> Path:
        """Return the file of a shard."""
        return self.folder / f"{number:06d}.parquet"

    def span(self, number: int) -> range:
        """Return the rows of a shard."""
        return range(number * self.size, min(self.rows, (number + 1) * self.size))

    def are_mine(self) -> bool:
        """Return whether the folder is there and of this origin."""
        return _json(self.folder / "origin.json") == self.origin

    def missing(self) -> list[int]:
        """Return the shards that are not there."""
        return [number for number in range(len(self)) if not self.path(number).exists()]

    def add(
        self,
        number: int,
        lists: Sequence[CandidateList],
        retriever: str,
        gallery: Path | None,
        counts: Mapping[str, int],
    ) -> None:
        """Write a shard.

        Args:
            number: of the shard.
            lists: of its rows, in their order.
            retriever: the fingerprint of the retriever.
            gallery: the folder that `gallery_row` counts in.
            counts: what is to be told of the shard.

        Raises:
            GeorankerError: the folder was removed, or belongs to another run by now.
        """
        if not self.are_mine():
            raise GeorankerError(f"{self.folder} was removed or changed by another run while this one wrote to it")
        write_json(self.path(number).with_suffix(".json"), dict(counts))
        write_candidates(self.path(number), lists, retriever, gallery)

    def lists(self) -> Iterator[CandidateList]:
        """Yield the lists of all shards, in the order of the rows; one shard is held in memory."""
        for number in range(len(self)):
            yield from CandidatesFile(self.path(number))

    def counts(self) -> dict[str, int]:
        """Return the sums of what is told of the shards."""
        total: dict[str, int] = {}
        for number in range(len(self)):
            for name, count in _json(self.path(number).with_suffix(".json")).items():
                assert isinstance(count, int)
                total[name] = total.get(name, 0) + count
        return total

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Keep other processes out of the block; gives False if the folder is gone by then."""
        import fcntl

        try:
            lock = (self.folder / "origin.json").open("r+")
        except FileNotFoundError:
            yield False
            return
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the system gives it free when the process ends, however it ends
            yield self.are_mine()

    def remove(self) -> None:
        """Delete the folder; what says whose shards they are goes last, so that a kill leaves nothing nameless."""
        if not self.are_mine():
            return
        for number in range(len(self)):
            self.path(number).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _is_whole(self, number: int) -> bool:
        try:
            with pq.ParquetFile(self.path(number)) as file:
                rows: int = file.metadata.num_rows
        except (OSError, pa.ArrowException):
            return False
        return rows == len(self.span(number))


def differing(found: object, origin: Mapping[str, object]) -> str:
    """Return in words by what something was made otherwise."""
    if not isinstance(found, dict) or not found:
        return "was not made by this command"
    others = [name for name, value in origin.items() if found.get(name) != value]
    return f"was made with another {' and '.join(others)}"


def _json(path: Path) -> dict[str, object]:
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
