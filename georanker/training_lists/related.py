"""Photos that belong together: of one author, of one sequence."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from georanker.data.tables import TableFile, column_names, tell
from georanker.data.unusable_rows import UnusableRows
from georanker.stores.names import spelling_key
from georanker.types import GeorankerError


class Related:
    """Tells which photos share an author, a sequence, or whatever else a table has a column for.

    It takes a few bytes a row, whatever ids and names are. The suffix of a photo does not count in an id, nor whether
    folders end with / or _.

    Args:
        path: a CSV or parquet file.
        id_column: names each photo.
        columns: of authors, sequences or the like; an empty cell is not known. None for all but that of the ids.

    Raises:
        GeorankerError: it cannot be read, lacks a column, or a row has no photo, or one that another row tells
            otherwise.
    """

    def __init__(self, path: Path, id_column: str = "photo_id", columns: Sequence[str] | None = None) -> None:
        self.path, self.id_column = path, id_column
        others = dict.fromkeys(columns or column_names(path))
        others.pop(id_column, None)
        self.columns = tuple(others)
        options = {id_column: "--related_id"} | dict.fromkeys(self.columns, "--related_columns")
        table = TableFile(path, [id_column, *self.columns], self.columns, options)
        if not self.columns:
            raise GeorankerError(
                f"{path}: has the column {id_column} alone; it needs others, such as author or sequence"
            )
        ids = table.ids(id_column)
        try:
            table.usable("error", Path())
        except UnusableRows as error:
            raise GeorankerError(f"{error.faults[0].rows[0]}; correct it") from error
        keys = _keys(_texts(ids))
        order = np.argsort(keys, kind="stable")
        groups = np.stack([_numbered(table.texts(name)) for name in self.columns], 1)
        self._keys, self._groups = keys[order], groups[order]
        again = (self._keys[1:] == self._keys[:-1])[:, None] & (self._groups[1:] != self._groups[:-1])
        for row, column in np.argwhere(again)[:1]:
            raise GeorankerError(
                f"{path}: photo {ids[int(order[row + 1])]} stands in several rows, with another {self.columns[column]} "
                "in each; keep one row of each photo"
            )

    def groups(self, photo_ids: Iterable[str]) -> np.ndarray:
        """Return (N, C) numbers, equal in a column where photos belong together; 0 where that is not known."""
        keys = _keys(photo_ids)
        rows = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
        groups: np.ndarray = np.where((self._keys[rows] == keys)[:, None], self._groups[rows], 0)
        return groups

    def known(self, photo_ids: Iterable[str]) -> int:
        """Return of how many photos anything is known."""
        return int(self.groups(photo_ids).any(1).sum())

    def check(self, known: int, count: int, example: str, whose: str) -> None:
        """Tell how many of some photos are not known; of those nothing related is left out.

        Raises:
            GeorankerError: none is known.
        """
        if not known:
            raise GeorankerError(
                f"{self.path}: knows none of the {count:,} {whose}, such as {example}; write their ids as "
                f"{self.id_column}"
            )
        if known < count:
            tell(f"{self.path}: knows {known:,} of the {count:,} {whose}; what is related to the others is not known")

    def fingerprint(self) -> str:
        """Return what tells this table from others: a hash of what is known."""
        return hashlib.sha256(self._keys.tobytes() + self._groups.tobytes()).hexdigest()[:16]


def _texts(column: pa.Array) -> Iterator[str]:
    for start in range(0, len(column), 1 << 16):
        yield from column.slice(start, 1 << 16).to_pylist()


def _keys(photo_ids: Iterable[str]) -> np.ndarray:
    """Return a number for each id, which differs where their spellings do: two of 4 million collide once in 10^6."""
    names = (spelling_key(photo_id.encode("utf-8", "surrogateescape")) for photo_id in photo_ids)
    return np.frombuffer(b"".join(hashlib.blake2b(name, digest_size=8).digest() for name in names), np.uint64)


def _numbered(texts: pa.Array) -> np.ndarray:
    """Return a number from 1 on for each text, 0 for none."""
    numbers = pc.add(pc.if_else(pc.equal(texts, ""), None, texts).dictionary_encode().indices, 1)
    found: np.ndarray = pc.fill_null(numbers, 0).to_numpy(zero_copy_only=False).astype(np.int32)
    return found
