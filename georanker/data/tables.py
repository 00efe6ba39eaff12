"""Tables on disk, CSV or parquet: columns with checks, and what to do with rows that cannot be used."""

from __future__ import annotations

import csv
import difflib
import itertools
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from lightning.pytorch.utilities import rank_zero_only

from georanker.data.csv_files import CsvFile
from georanker.data.parquet_files import parquet_names, read_parquet
from georanker.data.row_fault import RowFault
from georanker.data.unusable_rows import UnusableRows
from georanker.files import file_beside
from georanker.types import GeorankerError

BadRows = Literal["error", "skip"]
"""What to do with a row that cannot be used: stop, or leave it out and write it down."""

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_NO_ID = {r"[\r\n]": "holds a line break; a quote before it may be stray", r"\x00": "holds a NUL byte"}
_SHOWN, _WRITTEN = 60, 1000
"""Characters of a cell in an error, and in the file of skipped rows."""
_FIRST = 5
"""Rows of each kind of fault that are told."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """Rows that cannot be used, why not, and which kind of reasons that is."""

    rows: np.ndarray
    column: str
    reason: str
    kind: str


class TableFile:
    """Some columns of a CSV or parquet file.

    Rows keep the numbers that they have in the file. What is wrong with a row is noted, and told all together by
    `usable`. A row of a CSV file is told by its line, as an editor counts them from 1; a row of a parquet file by its
    number, from 0.

    Args:
        path: the file; parquet is known by its first bytes, whatever its name.
        columns: the columns to read.
        repeating: those of them whose values are often the same, such as names of countries; CSV keeps each once.
        options: those of the user that name columns, told where one is missing.

    Raises:
        GeorankerError: the file is missing, cut short, no table, or lacks a column or any row.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        repeating: Collection[str] = (),
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.path = Path(path)
        self._csv = None if _is_parquet(self.path) else CsvFile.open(self.path, columns)
        self.names = self._csv.names if self._csv else parquet_names(self.path)
        """Of all columns of the file."""
        for name in columns:
            if self.names.count(name) != 1:
                raise _no_column(self.path, name, self.names, options.get(name, ""))
        wrong: dict[int, int] = {}
        if self._csv:
            table, wrong, swallowing = self._csv.read(columns, repeating)
            if swallowing is not None:
                fault = "a quoted cell seems to hold whole rows, which a stray quote may have swallowed"
                tell(f"{self.path}, line {swallowing}: {fault}; see that each quote inside a cell is written twice")
        else:
            table = read_parquet(self.path, columns)
        if not table.num_rows:
            raise GeorankerError(f"{self.path}: has no rows")
        self.columns: dict[str, pa.Array] = {name: _whole(self.path, name, table[name]) for name in columns}
        """As they are in the file; those of CSV are text."""
        self.rows: np.ndarray = np.arange(table.num_rows)
        """(N,) their numbers in the file."""
        self._is_wrong: np.ndarray = np.zeros(table.num_rows, bool)
        self._faults: list[_Fault] = []
        for row, width in wrong.items():
            self.fault([row], "", f"has {width} cells, the first line {len(self.names)}")

    def __len__(self) -> int:
        return len(self.rows)

    def only(self, rows: np.ndarray) -> None:
        """Keep some of the rows; they keep the numbers by which they are told."""
        position = np.full(len(self), -1)
        position[rows] = np.arange(len(rows))
        moved = [replace(fault, rows=position[fault.rows]) for fault in self._faults]
        kept = [replace(fault, rows=fault.rows[fault.rows >= 0]) for fault in moved]
        self._faults = [fault for fault in kept if len(fault.rows)]
        self.columns = {name: column.take(pa.array(rows)) for name, column in self.columns.items()}
        self.rows, self._is_wrong = self.rows[rows], self._is_wrong[rows]

    def fault(self, rows: Sequence[int] | np.ndarray, column: str, reason: str, kind: str = "") -> None:
        """Note that rows cannot be used; only what is noted first of a row counts.

        Args:
            rows: as this table counts them.
            column: where the fault lies; "" if in no column that was read.
            reason: what the cell is, such as "is not a number".
            kind: the same without what differs between cells, where something does.
        """
        fresh = np.asarray(rows, np.int64)
        fresh = fresh[~self._is_wrong[fresh]]
        if len(fresh):
            self._is_wrong[fresh] = True
            self._faults.append(_Fault(fresh, column, reason, kind or reason))

    def texts(self, name: str) -> pa.Array:
        """Return a column as text, without spaces around it; "" where there is nothing."""
        column = self.columns[name]
        if pa.types.is_dictionary(column.type):
            trimmed = pc.utf8_trim_whitespace(pc.fill_null(column.dictionary.cast(pa.string()), ""))
            try:
                return pc.fill_null(trimmed.take(column.indices), "")
            except pa.ArrowException as error:
                raise _too_large(self.path, name) from error
        try:
            return pc.utf8_trim_whitespace(pc.fill_null(column.cast(pa.string()), ""))
        except pa.ArrowException as error:
            raise GeorankerError(f"{self.path}, column {name}: holds {column.type}, not text") from error

    def ids(self, name: str) -> pa.Array:
        """Return a column of ids, none of which may be empty or hold what no name of a photo holds."""
        found = self.texts(name)
        self.fault(np.flatnonzero(_numpy(pc.equal(found, ""))), name, "is empty")
        for pattern, reason in _NO_ID.items():
            self.fault(np.flatnonzero(_numpy(pc.match_substring_regex(found, pattern))), name, reason)
        return found

    def numbers(self, name: str) -> np.ndarray:
        """Return a column of numbers; NaN where a cell is none."""
        column = self.columns[name]
        if pa.types.is_boolean(column.type):  # which arrow would take for 0 and 1
            return np.full(len(column), np.nan)
        try:
            return _numpy(column.cast(pa.float64()))
        except pa.ArrowException:
            texts = self.texts(name)
            readable = pc.if_else(pc.match_substring_regex(texts, _NUMBER), texts, None)
            return _numpy(pc.utf8_ltrim(readable, "+").cast(pa.float64()))

    def degrees(self, name: str, limit: float) -> np.ndarray:
        """Return a column of coordinates; what is no number, or beyond `limit`, is a fault."""
        values = self.numbers(name)
        missing = np.flatnonzero(np.isnan(values))
        if len(missing):
            texts = self.texts(name).take(pa.array(missing))
            self.fault(missing[_numpy(pc.equal(texts, ""))], name, "is empty")
            comma = _numpy(pc.match_substring_regex(texts, r"^[+-]?\d+,\d+$"))
            self.fault(missing[comma], name, "is not a number; a point, no comma, goes before its decimals")
            self.fault(missing, name, "is not a number")
        self.fault(np.flatnonzero(np.abs(values) > limit), name, f"is outside [-{limit:g}, {limit:g}] degrees")
        return values

    def usable(self, on_bad_rows: BadRows, report: Path) -> np.ndarray:
        """Return the rows without a fault.

        Args:
            on_bad_rows: "error" to raise the first fault; "skip" to write down the rows that have one, and warn once.
            report: the CSV file to write them to, with file, row (the line of a CSV file), column, value and reason;
                one that tells of this table is removed if it has no fault any more.

        Raises:
            UnusableRows: a row has a fault and none may be skipped, or all rows have one.
        """
        good = np.flatnonzero(~self._is_wrong)
        if len(good) == len(self):
            _forget(report, self.path)
            return good
        if on_bad_rows == "error":
            raise self._unusable("; correct it, or leave such rows out with data.on_bad_rows=skip")
        if not len(good):
            raise self._unusable("; so or otherwise no row of the file can be used")
        faults = sorted((row, fault.column, fault.reason) for fault in self._faults for row in fault.rows.tolist())
        places = self._places([row for row, _, _ in faults])
        first = self._told(faults[0][0], places, *faults[0][1:])
        rows = [
            (self.path, places[row], column, _cut(str(self._value(row, column)), _WRITTEN), reason)
            for row, column, reason in faults
        ]
        _write_down(report, rows)
        count = f"{len(faults):,} of {len(self):,} rows are skipped and written to {report}"
        tell(f"{self.path}: {count}; the first is {first.removeprefix(f'{self.path}, ')}")
        return good

    def _unusable(self, fix: str) -> UnusableRows:
        """Return the error that tells the first fault, and carries the first of each column and kind."""
        kinds: dict[tuple[str, str], list[_Fault]] = {}
        for fault in self._faults:
            kinds.setdefault((fault.column, fault.kind), []).append(fault)
        told: dict[tuple[str, str], list[tuple[int, str]]] = {
            kind: sorted((row, fault.reason) for fault in faults for row in fault.rows.tolist())
            for kind, faults in kinds.items()
        }
        kinds_in_order = sorted(told, key=lambda kind: told[kind][0])
        places = self._places([row for rows in told.values() for row, _ in rows[:_FIRST]])
        faults = [
            RowFault(
                column,
                kind,
                len(told[column, kind]),
                [self._told(row, places, column, reason) for row, reason in told[column, kind][:_FIRST]],
            )
            for column, kind in kinds_in_order
        ]
        return UnusableRows(f"{faults[0].rows[0]}{fix}", faults)

    def _places(self, rows: Sequence[int]) -> dict[int, int]:
        """Return what each row is told by."""
        numbers = {row: int(self.rows[row]) for row in rows}
        if self._csv is None:
            return numbers
        lines = self._csv.lines(numbers.values())
        return {row: lines[number] for row, number in numbers.items()}

    def _told(self, row: int, places: dict[int, int], column: str, reason: str) -> str:
        at = f"{self.path}, {'row' if self._csv is None else 'line'} {places[row]}"
        cell = _cut(repr(self._value(row, column)), _SHOWN)
        return f"{at}, column {column}: {cell} {reason}" if column else f"{at}: {reason}"

    def _value(self, row: int, column: str) -> object:
        return self.columns[column][row].as_py() if column in self.columns else ""


@rank_zero_only
def tell(message: str) -> None:
    """Warn, in one of several processes."""
    logging.getLogger("georanker").warning("%s", message)


@rank_zero_only
def _write_down(report: Path, rows: Sequence[Sequence[object]]) -> None:
    with file_beside(report) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "row", "column", "value", "reason"])
        writer.writerows(rows)


@rank_zero_only
def _forget(report: Path, table: Path) -> None:
    """Remove a report on a table that was written before; one on another table stays."""
    try:
        with report.open(encoding="utf-8", newline="") as file:
            of = [row[:1] for row in itertools.islice(csv.reader(file), 2)]
    except (OSError, ValueError, csv.Error):
        return
    if of == [["file"], [str(table)]]:
        report.unlink()


def column_names(path: Path) -> tuple[str, ...]:
    """Return the names of all columns of a CSV or parquet file."""
    return parquet_names(path) if _is_parquet(path) else CsvFile.open(path, ()).names


def _is_parquet(path: Path) -> bool:
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # opening a pipe would wait for who writes to it
            raise GeorankerError(f"{path}: is not a file; name a CSV or parquet file")
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise GeorankerError(f"{path}: cannot be read ({error.strerror}); name a CSV or parquet file") from error
    if magic == b"PK\3\4":
        raise GeorankerError(f"{path}: is a spreadsheet or a zip archive; save or unpack it as CSV in UTF-8")
    return magic == b"PAR1"


def _no_column(path: Path, name: str, names: Sequence[str], option: str) -> GeorankerError:
    if name in names:
        return GeorankerError(f"{path}: has the column {name!r} more than once; rename all but one")
    near = {each.casefold(): each for each in names}
    close = difflib.get_close_matches(name.casefold(), near, 1, cutoff=0.5)
    meant = f" (did you mean {near[close[0]]!r}?)" if close else ""
    fix = f"; name the right one in {option}" if option else ""
    told = ", ".join(names[:40]) + (", ..." if len(names) > 40 else "")
    return GeorankerError(f"{path}: has no column {name!r}{meant}{fix}; it has {told}")


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


def _whole(path: Path, name: str, column: pa.ChunkedArray) -> pa.Array:
    try:
        return column.combine_chunks()
    except pa.ArrowException as error:
        raise _too_large(path, name) from error


def _too_large(path: Path, name: str) -> GeorankerError:
    return GeorankerError(f"{path}, column {name}: is too large to be read at once; split the table into smaller ones")


def _numpy(column: pa.Array) -> np.ndarray:
    values: np.ndarray = column.to_numpy(zero_copy_only=False)
    return values
