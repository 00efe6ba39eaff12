"""Candidates that stand in an array of rows of a gallery's table, such as the public `I.npy`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from georanker.candidate_table import candidate_column
from georanker.data.tables import BadRows, TableFile, tell
from georanker.types import GeorankerError

_ID, _LATITUDE, _LONGITUDE, _NAMES = "IMG_ID", "LAT", "LON", ("city", "state", "country")


@dataclass(frozen=True)
class Neighbours:
    """An array (N, K) of whole numbers: for each row of a table, the rows of the gallery's table, nearest first."""

    path: Path
    """The array, a `.npy`."""
    gallery: Path
    """The table of MP16-Pro, whose rows count from 0."""
    known_rows: int
    """How many rows that table has; of another number it is said that rows may mean other photos."""
    retrieved_count: int | None = None
    """How many of a list are taken; None for all."""
    negative_count: int = 5
    """How many negatives are taken, from the end of the full list."""

    def read(self, table: TableFile, on_bad_rows: BadRows, report: Path) -> tuple[pa.Array, pa.Array]:
        """Return the columns candidates and negatives of `georanker.candidate_table.SCHEMA`.

        Args:
            table: the photos; one with a candidate that cannot be used is a fault of it.
            on_bad_rows: what to do with rows of the gallery that are asked for and cannot be used.
            report: the file for such rows.

        Raises:
            GeorankerError: the array cannot be read, belongs to another table, or names a row that there is not.
        """
        rows = self._rows(len(table))
        columns = [_ID, _LATITUDE, _LONGITUDE, *_NAMES]
        gallery = TableFile(self.gallery, columns, _NAMES)
        for row, rank in np.argwhere((rows < 0) | (rows >= len(gallery)))[:1]:
            raise GeorankerError(
                f"{self.path}, row {row}, column {rank}: {rows[row, rank]:,} is not a row of {self.gallery}, which has "
                f"{len(gallery):,}; name the table that it was made for"
            )
        if len(gallery) != self.known_rows:
            tell(
                f"{self.gallery}: has {len(gallery):,} rows, MP16_Pro_filtered.csv has {self.known_rows:,}; if "
                f"{self.path} was made for that one, its rows mean other photos here"
            )
        width: int = rows.shape[1]
        first = width if self.retrieved_count is None else self.retrieved_count
        last = min(width, self.negative_count)
        ranks = np.arange(width)
        rows = rows[:, (ranks < first) | (ranks >= width - last)]
        asked, inverse = np.unique(rows, return_inverse=True)
        at: np.ndarray = inverse.reshape(rows.shape)
        gallery.only(asked)
        ids, names = gallery.ids(_ID), [gallery.texts(name) for name in _NAMES]
        degrees = gallery.degrees(_LATITUDE, 90.0), gallery.degrees(_LONGITUDE, 180.0)
        is_good = np.zeros(len(asked), bool)
        is_good[gallery.usable(on_bad_rows, report)] = True
        table.fault(np.flatnonzero(~is_good[at].all(1)), "", f"has a candidate that {self.gallery} cannot give")
        places = np.where(is_good[:, None], np.stack(degrees, 1), 0.0)

        def column(chosen: np.ndarray) -> pa.Array:
            flat = chosen.ravel()
            cities, states, countries = (name.take(pa.array(flat)) for name in names)
            return candidate_column(
                np.full(len(chosen), chosen.shape[1]),
                places[flat, 0],
                places[flat, 1],
                photo_ids=ids.take(pa.array(flat)),
                cities=cities,
                states=states,
                countries=countries,
            )

        return column(at[:, :first]), column(at[:, at.shape[1] - last :])

    def _rows(self, length: int) -> np.ndarray:
        try:
            rows = np.load(self.path, allow_pickle=False)
        except Exception as error:  # numpy gives a header to Python's parser, which may raise anything of a damaged one
            reason = " ".join(str(error).split())[:120]
            fix = "copy or download it again"
            raise GeorankerError(f"{self.path}: cannot be read as an array of numbers ({reason}); {fix}") from error
        if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind not in "iu" or not rows.shape[1]:
            raise GeorankerError(f"{self.path}: holds no array (N, K) of whole numbers")
        if len(rows) != length:
            raise GeorankerError(
                f"{self.path}: has {len(rows):,} rows, the table of photos {length:,}; name the array of this table"
            )
        return rows.astype(np.int64, copy=False)  # arrow takes no bytes in the order of another machine
