"""Rows that many processes write, a row a photo: they grow in small files, and become one."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from georanker.files import file_beside
from georanker.job_folder import OTHERWISE, JobFolder
from georanker.types import GeorankerError

_ROWS_A_GROUP = 1024


class Parts(JobFolder):
    """The rows so far: a folder of small parquet files, each of which is there whole or not at all.

    Any number of processes may write at once, and any number of runs one after the other. Rows are told apart by their
    photo_id.

    Args:
        folder: for the parts; all processes must see the same one.
        schema: of the rows, photo_id among their columns.
        origin: what the rows depend on, by what it is, so that those of two origins never mix.
        otherwise: what to do about rows of another origin, for errors.
    """

    def __init__(self, folder: Path, schema: pa.Schema, origin: Mapping[str, str], otherwise: str = OTHERWISE) -> None:
        super().__init__(folder, origin, otherwise)
        self.schema = schema
        self._run = secrets.token_hex(8)
        self._names = (f"{self._run}-{count:06d}.parquet" for count in itertools.count())

    def begin(self) -> set[str]:
        """Make the folder or take it over, and return the ids of the photos that have a row in it.

        Raises:
            GeorankerError: it holds rows of another origin, or a file that cannot be read.
        """
        self.claim()
        return {photo_id for file in self._files() for photo_id in _read(file, ["photo_id"])["photo_id"].to_pylist()}

    def add(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Write some rows.

        Raises:
            GeorankerError: the folder was removed, or belongs to another run by now.
        """
        self.check_mine()
        with file_beside(self.folder / next(self._names)) as part:
            pq.write_table(pa.Table.from_pylist(list(rows), self.schema), part)

    def withdraw(self) -> None:
        """Delete what this run has written."""
        for file in self.folder.glob(f"{self._run}-*.parquet"):
            file.unlink(missing_ok=True)

    def merge(self, path: Path, photo_ids: Sequence[str], whole: bool = True) -> None:
        """Put the rows into one file, with memory that does not grow with their number.

        The file depends on the rows alone, and not on how they are spread over parts. It appears when it is whole;
        what a kill leaves of it lies among the parts.

        Args:
            path: the file to write.
            photo_ids: in the order of the rows.
            whole: whether each photo must have a row; else those without one are left out.

        Raises:
            GeorankerError: a row is missing, or a part cannot be read.
        """
        files = self._files()
        places: dict[str, tuple[int, int]] = {}
        for number, file in enumerate(files):
            for row, photo_id in enumerate(_read(file, ["photo_id"])["photo_id"].to_pylist()):
                places.setdefault(photo_id, (number, row))  # a process that outlived a kill may have answered once more
        order = [places[photo_id] for photo_id in photo_ids if photo_id in places]
        if whole and len(order) < len(photo_ids):
            missing = next(photo_id for photo_id in photo_ids if photo_id not in places)
            raise GeorankerError(
                f"{self.folder} lacks {len(photo_ids) - len(order):,} rows, photo {missing} for one; see that all "
                "processes write to one disk, and run the same command again"
            )
        merged = self.folder / "merged.part"
        try:
            with pq.ParquetWriter(merged, self.schema) as writer:
                for start in range(0, len(order), _ROWS_A_GROUP):
                    writer.write_table(_gathered(files, order[start : start + _ROWS_A_GROUP]))
            os.replace(merged, path)
        except OSError as error:
            raise GeorankerError(f"{path}: cannot be written ({error.strerror or error})") from error

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.parquet"))


def _read(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    try:
        # Not `read_table`, which takes a folder named key=value for a column.
        with pq.ParquetFile(file) as opened:
            table = opened.read(columns)
            table.validate(full=True)  # arrow itself takes text that is not UTF-8
            return table
    except (OSError, UnicodeError, pa.ArrowException) as error:
        raise GeorankerError(f"{file}: cannot be read ({error}); delete it, and its photos are asked again") from error


def _gathered(files: Sequence[Path], order: Sequence[tuple[int, int]]) -> pa.Table:
    """Return rows of several files, given as (number of the file, row), in this order."""
    tables, starts, total = [], {}, 0
    for number in sorted({number for number, _ in order}):
        tables.append(_read(files[number]))
        starts[number], total = total, total + len(tables[-1])
    return pa.concat_tables(tables).combine_chunks().take([starts[number] + row for number, row in order])


def check_distinct(photo_ids: Sequence[str], origin: str) -> None:
    """Raise GeorankerError if a photo stands in two rows: what was answered of it would be told apart by nothing."""
    seen: dict[str, int] = {}
    for row, photo_id in enumerate(photo_ids):
        if seen.setdefault(photo_id, row) != row:
            raise GeorankerError(
                f"{origin}: photo {photo_id} stands in rows {seen[photo_id]} and {row}; answers are told apart by the "
                "photo's id, so each may stand there once"
            )
