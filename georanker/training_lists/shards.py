"""A long job over many photos, cut into shards that any number of processes work off, and that survive a kill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from georanker.candidates import CandidatesFile, write_candidates
from georanker.files import write_json
from georanker.job_folder import JobFolder, read_json
from georanker.types import CandidateList

UNREAD = "photos that could not be read"


class Shards(JobFolder):
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
        super().__init__(folder, origin)
        self.rows, self.size = rows, size

    def begin(self) -> None:
        """Make the folder or take it over, and drop the shards that cannot be read, such as after a power cut.

        Raises:
            GeorankerError: it holds shards of another origin.
        """
        self.claim(begun=True)
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
            lists: of those of its rows whose photos could be read, in their order.
            retriever: the fingerprint of the retriever.
            gallery: the folder that `gallery_row` counts in.
            counts: what is to be told of the shard.

        Raises:
            GeorankerError: the folder was removed, or belongs to another run by now.
        """
        self.check_mine()
        unread = len(self.span(number)) - len(lists)
        write_json(self._told(number), {**counts, **({UNREAD: unread} if unread else {})})
        write_candidates(self.path(number), lists, retriever, gallery)

    def lists(self) -> Iterator[CandidateList]:
        """Yield the lists of all shards, in the order of the rows; one shard is held in memory."""
        for number in range(len(self)):
            yield from CandidatesFile(self.path(number))

    def counts(self) -> dict[str, int]:
        """Return the sums of what is told of the shards."""
        total: dict[str, int] = {}
        for number in range(len(self)):
            for name, count in self._counts(number).items():
                total[name] = total.get(name, 0) + count
        return total

    def remove(self) -> None:
        """Delete the folder, if it is still of this origin."""
        if self.is_mine():
            super().remove()

    def _is_whole(self, number: int) -> bool:
        try:
            with pq.ParquetFile(self.path(number)) as file:
                rows: int = file.metadata.num_rows
        except (OSError, pa.ArrowException):
            return False
        return rows + self._counts(number).get(UNREAD, 0) == len(self.span(number))

    def _told(self, number: int) -> Path:
        return self.path(number).with_suffix(".json")

    def _counts(self, number: int) -> dict[str, int]:
        return {name: count for name, count in read_json(self._told(number)).items() if isinstance(count, int)}
