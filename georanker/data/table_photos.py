"""The photos of a table, made when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import overload

import numpy as np
import pyarrow as pa

from georanker.types import Photo, PhotoSource, Place

_AT_ONCE = 4096


class TablePhotos(Sequence[Photo]):
    """N photos, kept as columns, so that millions of them take no Python objects.

    Args:
        ids: (N,) texts.
        places: (N, 2) degrees that were checked; None where no place is known.
        names: (N,) texts, by the field of `Place` that they fill.
        source: holds the bytes of the photos.
    """

    def __init__(
        self, ids: pa.Array, places: np.ndarray | None, names: Mapping[str, pa.Array], source: PhotoSource | None
    ) -> None:
        self.ids, self.places, self.names, self.source = ids, places, names, source

    def take(self, rows: np.ndarray) -> TablePhotos:
        """Return some of the photos."""
        at = pa.array(rows)
        places = None if self.places is None else self.places[rows]
        return TablePhotos(
            self.ids.take(at), places, {field: column.take(at) for field, column in self.names.items()}, self.source
        )

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Photo: ...

    @overload
    def __getitem__(self, index: slice) -> list[Photo]: ...

    def __getitem__(self, index: int | slice) -> Photo | list[Photo]:
        """Return one photo, or several."""
        if isinstance(index, slice):
            return list(self._photos(index))
        if not -len(self) <= index < len(self):
            raise IndexError(f"photo {index} of {len(self)}")
        index %= len(self)
        return next(self._photos(slice(index, index + 1)))

    def __iter__(self) -> Iterator[Photo]:
        for start in range(0, len(self), _AT_ONCE):
            yield from self._photos(slice(start, start + _AT_ONCE))

    def _photos(self, rows: slice) -> Iterator[Photo]:
        ids = self.ids[rows].to_pylist()
        if self.places is None:
            yield from (Photo(id_, None, self.source) for id_ in ids)
            return
        names = [column[rows].to_pylist() for column in self.names.values()]
        named = zip(*names, strict=True) if names else ((),) * len(ids)
        for id_, (latitude, longitude), texts in zip(ids, self.places[rows].tolist(), named, strict=True):
            found = {field: text or "" for field, text in zip(self.names, texts, strict=True)}
            yield Photo(id_, Place(latitude, longitude, **found), self.source)
