"""Parquet files that are written as their rows come."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from georanker.files import file_beside

_ROWS_A_GROUP = 1024


def write_rows(path: Path, schema: pa.Schema, rows: Iterable[Mapping[str, object]]) -> int:
    """Write rows, with memory that does not grow with their number, and return how many there were.

    Args:
        path: the file to write, whole or not at all.
        schema: of the rows, with the metadata of the file.
        rows: in their order.
    """
    coming, written = iter(rows), 0
    with file_beside(path) as part, pq.ParquetWriter(part, schema) as writer:
        while group := list(itertools.islice(coming, _ROWS_A_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema))
            written += len(group)
    return written
