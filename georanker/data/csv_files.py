"""CSV files as columns of text, and where each of their rows stands."""

from __future__ import annotations

import codecs
import collections
import csv
import io
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from georanker.types import GeorankerError

_DELIMITERS = ",;\t|"
_HEAD_BYTES = 1 << 20
_MAX_ROW_BYTES = 1 << 24


@dataclass(frozen=True)
class CsvFile:
    """How a CSV file is written.

    Encoding (UTF-8, or UTF-16 as spreadsheets write it) and delimiter (comma, semicolon, tab or bar) are found by
    themselves; a byte order mark is passed over, and a name that ends in .gz, .bz2 or .zst is unpacked.
    """

    path: Path
    encoding: str
    delimiter: str
    names: tuple[str, ...]
    """Of all columns."""

    @classmethod
    def open(cls, path: Path, wanted: Collection[str]) -> CsvFile:
        """Look at the head of a file; of several delimiters that one is right which gives most of the wanted columns.

        Raises:
            GeorankerError: the file cannot be read, is empty, or is no text.
        """
        try:
            with pa.input_stream(str(path)) as stream:
                head = stream.read(_HEAD_BYTES)
        except (OSError, pa.ArrowException) as error:
            raise _unreadable(path, error) from error
        if head[:4] in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
            raise GeorankerError(f"{path}: is no text in UTF-8 or UTF-16; save the table as UTF-8")
        encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        if encoding != "utf-16" and b"\0" in head:
            raise GeorankerError(f"{path}: is no text; a table is a CSV file in UTF-8 or a parquet file")
        text = head.decode(encoding, "replace")
        headers = {delimiter: _first_record(text, delimiter) for delimiter in _DELIMITERS}
        best = max(_DELIMITERS, key=lambda each: (len(set(wanted) & set(headers[each])), len(headers[each])))
        if not headers[best] and text.strip():
            raise GeorankerError(f"{path}, line 1: is no row of names; the first line of a table names its columns")
        if not headers[best]:
            raise GeorankerError(f"{path}: is empty; its first line must name its columns")
        return cls(path, encoding, best, tuple(headers[best]))

    def read(self, columns: Sequence[str], repeating: Collection[str]) -> tuple[pa.Table, dict[int, int], int | None]:
        """Read columns as text.

        Args:
            columns: their names.
            repeating: those whose values are often the same, which are kept once.

        Returns:
            The columns; the rows that have another number of cells than the first line, with that number, which are
            null; and the line of the first quoted cell that seems to hold whole rows, None if there is none.

        Raises:
            GeorankerError: the file cannot be read to its end, or is not UTF-8.
        """
        wrong: list[int] = []

        def count(row: pa.csv.InvalidRow) -> str:
            wrong.append(row.actual_columns)
            return "skip"

        types = {name: pa.dictionary(pa.int32(), pa.string()) if name in repeating else pa.string() for name in columns}
        try:
            table = self._table(types, None)
        except (OSError, pa.ArrowException, UnicodeError) as error:
            # Arrow tells a wrong row as text, so that one in another encoding would print a traceback.
            if not self._is_text():
                raise self._fault(error) from error
            try:
                table = self._table(types, count)
            except (OSError, pa.ArrowException, UnicodeError) as again:
                raise self._fault(again) from again
        quotes, ends = self._counts()
        if quotes % 2 and self._ends_inside_a_quote():
            raise GeorankerError(f'{self.path}: a quote (") is opened and not closed; write each inside a cell twice')
        swallowing = self._swallowing() if quotes and ends > 1 + table.num_rows + len(wrong) else None
        if not wrong:
            return table, {}, swallowing
        widths = np.array([width for _, width in self._records()], np.int64)
        right = widths == len(self.names)
        if right.sum() != table.num_rows:
            raise GeorankerError(f'{self.path}: a quote (") is opened and not closed; write each inside a cell twice')
        at = np.cumsum(right) - 1
        table = table.take(pa.array(at, mask=~right))
        return table, {row: int(widths[row]) for row in np.flatnonzero(~right).tolist()}, swallowing

    def lines(self, rows: Collection[int]) -> dict[int, int]:
        """Return the lines, as an editor counts them from 1, on which rows begin; the whole file is read for that."""
        wanted, last = set(rows), max(rows, default=-1)
        found = {}
        for row, (line, _) in enumerate(self._records()):
            if row in wanted:
                found[row] = line
            if row == last:
                break
        return found

    def _table(
        self, types: Mapping[str, pa.DataType], on_wrong_row: Callable[[pa.csv.InvalidRow], str] | None
    ) -> pa.Table:
        with pa.input_stream(str(self.path)) as stream:
            return pa.csv.read_csv(
                stream,
                pa.csv.ReadOptions(encoding=self.encoding.removesuffix("-sig"), block_size=_MAX_ROW_BYTES),
                pa.csv.ParseOptions(
                    delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=on_wrong_row
                ),
                pa.csv.ConvertOptions(column_types=types, include_columns=list(types)),
            )

    def _records(self) -> Iterator[tuple[int, int]]:
        """Yield line and number of cells of each row below the first line; empty lines are no rows."""
        for line, cells in itertools.islice(self._cells(), 1, None):
            yield line, len(cells)

    def _cells(self, end: str = "") -> Iterator[tuple[int, list[str]]]:
        limit = csv.field_size_limit(_MAX_ROW_BYTES)
        line, size = 1, 0

        def lines(text: io.TextIOWrapper) -> Iterator[str]:
            nonlocal size
            for part in iter(lambda: text.readline(_MAX_ROW_BYTES + 1), ""):
                size += len(part if part.isascii() else part.encode(errors="surrogateescape"))
                if size > _MAX_ROW_BYTES:
                    raise GeorankerError(
                        f"{self.path}, line {line}: begins a row of more than {_MAX_ROW_BYTES:,} bytes; end the quote "
                        "or the line there, or leave such a row out"
                    )
                yield part
            if end:
                yield end

        try:
            with io.TextIOWrapper(
                pa.input_stream(str(self.path)), self.encoding, errors="surrogateescape", newline=""
            ) as text:
                reader = csv.reader(lines(text), delimiter=self.delimiter)
                for cells in reader:
                    if cells:
                        yield line, cells
                    line, size = reader.line_num + 1, 0
        except UnicodeError as error:
            fix = "copy or download it again, or save it as UTF-8"
            raise GeorankerError(f"{self.path}, line {line}: is not UTF-16; {fix}") from error
        except csv.Error as error:
            raise GeorankerError(f"{self.path}, line {line}: is no row of CSV ({error}); correct the line") from error
        except OSError as error:
            raise _unreadable(self.path, error) from error
        finally:
            csv.field_size_limit(limit)

    def _counts(self) -> tuple[int, int]:
        """Return how many quotes and line ends there are."""
        quotes = ends = 0
        with pa.input_stream(str(self.path)) as stream:
            for part in iter(lambda: stream.read(_HEAD_BYTES), b""):
                quotes, ends = quotes + part.count(b'"'), ends + max(part.count(b"\n"), part.count(b"\r"))
        return quotes, ends

    def _swallowing(self) -> int | None:
        """Return the line of the first row with a cell of several lines, a later one of which looks like a row.

        In prose a space follows a comma.
        """
        between = re.compile(rf"{re.escape(self.delimiter)}(?! )")
        for line, cells in self._cells():
            for cell in cells:
                _, *later = cell.splitlines() or [""]
                if any(len(between.findall(part)) == len(self.names) - 1 > 0 for part in later):
                    return line
        return None

    def _ends_inside_a_quote(self) -> bool:
        """Say whether the last cell is quoted and has no end: it would hold whatever rows follow its quote."""
        # Inside a quote the end that is added closes the cell; elsewhere it is a cell of its own.
        _, cells = collections.deque(self._cells(end='\0"'), maxlen=1)[0]
        return cells[-1].endswith("\0")

    def _is_text(self) -> bool:
        try:
            with io.TextIOWrapper(pa.input_stream(str(self.path)), self.encoding, newline="") as text:
                while text.read(_HEAD_BYTES):
                    pass
        except (OSError, UnicodeError):
            return False
        return True

    def _fault(self, error: Exception) -> GeorankerError:
        """Return where the first letter is that is not UTF-8, or else what the reader of the file says."""
        for line, cells in self._cells():
            for name, cell in zip(self.names, cells, strict=False):
                if not cell.isascii() and any("\udc80" <= letter <= "\udcff" for letter in cell):
                    shown = cell.encode(errors="surrogateescape")[:40]
                    return GeorankerError(
                        f"{self.path}, line {line}, column {name}: {shown!r} is not UTF-8; save the table as UTF-8"
                    )
        if next(self._records(), None) is None:
            return GeorankerError(f"{self.path}: has no rows")
        return _unreadable(self.path, error)


def _first_record(text: str, delimiter: str) -> list[str]:
    try:
        return next((cells for cells in csv.reader(io.StringIO(text, ""), delimiter=delimiter) if cells), [])
    except csv.Error:
        return []


def _unreadable(path: Path, error: Exception) -> GeorankerError:
    reason = getattr(error, "strerror", None)
    fix = "name a CSV or parquet file" if reason else "copy or download it again"
    if isinstance(error, MemoryError):
        fix = "split it into smaller tables"
    return GeorankerError(f"{path}: cannot be read ({reason or ' '.join(str(error).split())[:200]}); {fix}")
