"""Photos that belong together: of one author, of one sequence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from georanker.data.csv_files import CsvFile
from georanker.stores.names import spelling_key
from georanker.types import GeorankerError


class Related:
    """Tells which photos share an author, a sequence, or whatever else a table has a column for.

    It takes a few bytes a row, whatever ids and names are. The suffix of a photo does not count in an id, nor whether
    folders end with / or _.

    Args:
        path: a CSV or parquet file with the column photo_id and one or more others; an empty cell is not known.

    Raises:
        GeorankerError: it cannot be read, lacks a column, or a row has no photo.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        table = _read(path)
        self.columns = tuple(name for name in table.column_names if name != "photo_id")
        if len(self.columns) != table.num_columns - 1 or not self.columns:
            raise GeorankerError(
                f"{path}: has the columns {', '.join(table.column_names)}; it needs photo_id, and one or more such as "
                "author or sequence"
            )
        lacks = np.flatnonzero(pc.equal(pc.fill_null(table["photo_id"], ""), "").to_numpy())
        if len(lacks) or not len(table):
            raise GeorankerError(f"{path}, row {lacks[0]}: photo_id is empty" if len(table) else f"{path}: has no rows")
        keys = _keys(_texts(table["photo_id"]))
        order = np.argsort(keys, kind="stable")
        self._keys, self._groups = keys[order], np.stack([_numbered(table[name]) for name in self.columns], 1)[order]

    def groups(self, photo_ids: Iterable[str]) -> np.ndarray:
        """Return (N, C) numbers, equal in a column where photos belong together; 0 where that is not known."""
        keys = _keys(photo_ids)
        rows = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        groups: np.ndarray = np.where((self._keys[rows] == keys)[:, None], self._groups[rows], 0)
        return groups

    def fingerprint(self) -> str:
        """Return what tells this table from others: a hash of what is known."""
        return hashlib.sha256(self._keys.tobytes() + self._groups.tobytes()).hexdigest()[:16]


def _read(path: Path) -> pa.Table:
    try:
        if Path(path).suffix.lower() == ".csv":
            file = CsvFile.open(Path(path), ("photo_id",))
            if len(set(file.names)) < len(file.names):
                raise GeorankerError(f"{path}: has a column more than once: {', '.join(file.names)}")
            table, odd = file.read(file.names, file.names[1:])
            for row, cells in odd.items():
                line = file.lines([row])[row]
                raise GeorankerError(f"{path}, line {line}: has {cells} cells, the first line {len(file.names)}")
        else:
            with pq.ParquetFile(path) as opened:
                table = opened.read()
        return table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())
        raise GeorankerError(f"{path}: cannot be read ({reason}); name a CSV or parquet file with photo_id") from error


def _texts(column: pa.ChunkedArray) -> Iterator[str]:
    for start in range(0, len(column), 1 << 16):
        yield from column.slice(start, 1 << 16).to_pylist()


def _keys(photo_ids: Iterable[str]) -> np.ndarray:
    """Return a number for each id, which differs where their spellings do: two of 4 million collide once in 10^6."""
    names = (spelling_key(photo_id.encode("utf-8", "surrogateescape")) for photo_id in photo_ids)
    return np.frombuffer(b"".join(hashlib.blake2b(name, digest_size=8).digest() for name in names), np.uint64)


def _numbered(column: pa.ChunkedArray) -> np.ndarray:
    """Return a number from 1 on for each text, 0 for none."""
    texts = pc.if_else(pc.equal(column, ""), None, column).combine_chunks()
    numbers = pc.add(texts.dictionary_encode().indices, 1)
    found: np.ndarray = pc.fill_null(numbers, 0).to_numpy(zero_copy_only=False).astype(np.int32)
    return found
