"""Parquet files as columns, whose text is UTF-8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from georanker.types import GeorankerError


def parquet_names(path: Path) -> tuple[str, ...]:
    """Return the names of all columns.

    Raises:
        GeorankerError: the file cannot be read.
    """
    try:
        return tuple(pq.read_schema(path).names)
    except (OSError, UnicodeError, pa.ArrowException) as error:
        raise _broken(path, error) from error


def read_parquet(path: Path, columns: Sequence[str]) -> pa.Table:
    """Read columns.

    Arrow itself takes the bytes of text as they are, so that other programs' mistakes would be met much later.

    Raises:
        GeorankerError: the file cannot be read, or a cell is not UTF-8.
    """
    try:
        table = pq.read_table(path, columns=list(columns), partitioning=None)
    except MemoryError as error:
        raise GeorankerError(f"{path}: is too large for the memory; split it into smaller tables") from error
    except (OSError, UnicodeError, pa.ArrowException) as error:
        raise _broken(path, error) from error
    for name in columns:
        try:
            table[name].validate(full=True)
        except pa.ArrowException as error:
            if "UTF8" not in str(error):
                raise _broken(path, error) from error
            fault = f"{path}, row {_first_wrong(table[name])}, column {name}: is not UTF-8"
            raise GeorankerError(f"{fault}; write the table again as UTF-8") from error
    return table


def _first_wrong(column: pa.ChunkedArray) -> int:
    """Return the first row that is not valid, one of which there is."""
    start, end = 0, len(column)
    while end - start > 1:
        middle = (start + end) // 2
        try:
            # Not a slice, which would still bring the items of all lists.
            column.take(pa.array(np.arange(start, middle))).validate(full=True)
        except pa.ArrowException:
            end = middle
        else:
            start = middle
    return start


def _broken(path: Path, error: Exception) -> GeorankerError:
    reason = " ".join(str(error).split())[:120]
    return GeorankerError(f"{path}: cut short or damaged; copy or download it again ({reason})")
