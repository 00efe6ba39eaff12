"""Candidate lists as columns: what a candidates file holds, and what benchmarks make of their own files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from georanker.gazetteer import gazetteer
from georanker.types import LIMITS, Candidate, CandidateList, GeorankerError, Photo, PhotoSource, Place

CANDIDATE = pa.struct(
    {
        "photo_id": pa.string(),
        "gallery_row": pa.int64(),
        "latitude": pa.float64(),
        "longitude": pa.float64(),
        "score": pa.float32(),
        "source": pa.string(),
        "city": pa.string(),
        "state": pa.string(),
        "country": pa.string(),
    }
)
_NAMES = ("city", "state", "country")
SCHEMA = pa.schema(
    {
        "photo_id": pa.string(),
        "latitude": pa.float64(),
        "longitude": pa.float64(),
        "embedding": pa.list_(pa.float32()),
        "candidates": pa.list_(CANDIDATE),
        "negatives": pa.list_(CANDIDATE),
    }
)


def candidate_column(
    lengths: np.ndarray,
    latitudes: np.ndarray,
    longitudes: np.ndarray,
    scores: np.ndarray | None = None,
    photo_ids: pa.Array | None = None,
    gallery_rows: np.ndarray | None = None,
    sources: pa.Array | None = None,
    cities: pa.Array | None = None,
    states: pa.Array | None = None,
    countries: pa.Array | None = None,
) -> pa.ListArray:
    """Return a column of `SCHEMA` that holds lists of candidates, made of flat columns.

    Args:
        lengths: (N,) how many candidates each row has.
        latitudes: (M,) degrees of all candidates, row by row, M being the sum of the lengths.
        longitudes: (M,) degrees.
        scores: (M,) higher is nearer; None makes them fall along each list, from 0.
        photo_ids: (M,) the gallery's photos; null where there is none.
        gallery_rows: (M,) rows of the gallery.
        sources: (M,) who proposed them; None for "retrieved".
        cities: (M,) names; null or "" where unknown.
        states: (M,) names.
        countries: (M,) names.
    """
    size, offsets = len(latitudes), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    if scores is None:
        scores = np.repeat(offsets[:-1], lengths) - np.arange(size)
    texts = {"photo_id": photo_ids, "source": sources, "city": cities, "state": states, "country": countries}
    fields: dict[str, pa.Array] = {
        name: pa.nulls(size, pa.string()) if given is None else given.cast(pa.string()) for name, given in texts.items()
    }
    if sources is None:
        fields["source"] = pa.repeat("retrieved", size)
    fields |= {
        "latitude": pa.array(latitudes, pa.float64()),
        "longitude": pa.array(longitudes, pa.float64()),
        "score": pa.array(scores, pa.float32()),
        "gallery_row": pa.nulls(size, pa.int64()) if gallery_rows is None else pa.array(gallery_rows, pa.int64()),
    }
    structs = pa.StructArray.from_arrays([fields[field.name] for field in CANDIDATE], fields=list(CANDIDATE))
    return pa.ListArray.from_arrays(pa.array(offsets), structs)


def named_column(lists: pa.ListArray) -> pa.ListArray:
    """Return a column of candidates with the names that they lack, from the gazetteer.

    Guessed places stay as they are: the paper's prompt gives no names of them.
    """
    rows, structs = _items(lists)
    fields = {name: structs.field(name) for name in CANDIDATE.names}
    names = np.stack([*(_numpy(pc.fill_null(fields[name], "")) for name in _NAMES), np.full(len(rows), "")], 1)
    lacking = (names[:, :3] == "").any(1) & ~_numpy(pc.equal(fields["source"], "generated"))
    points = np.stack([_numpy(fields[name]) for name in LIMITS], 1)
    names[lacking] = gazetteer().completed(points[lacking], names[lacking])
    fields |= {name: pa.array(names[:, at], pa.string()) for at, name in enumerate(_NAMES)}
    named = pa.StructArray.from_arrays([fields[field.name] for field in CANDIDATE], fields=list(CANDIDATE))
    return _listed(rows, named, len(lists))


class CandidateTable(Sequence[CandidateList]):
    """Candidate lists, kept as arrow columns; a list is made when it is asked for.

    Args:
        table: the rows, in `SCHEMA`.
        origin: names the rows in errors, such as "candidates file x.parquet".
        photo_source: holds the bytes of the photos.
        gallery_source: holds the bytes of the candidates' photos.
        gallery: the folder of the gallery that `gallery_row` counts in.
        checked: False for who looks for what is wrong in the rows.

    Raises:
        GeorankerError: a row holds what cannot be: a place that does not exist, a score that is not a number, an empty
            list, a vector of another length than the others.
    """

    def __init__(
        self,
        table: pa.Table,
        origin: str,
        photo_source: PhotoSource | None = None,
        gallery_source: PhotoSource | None = None,
        gallery: str = "",
        checked: bool = True,
    ) -> None:
        self.origin, self.gallery, self._checked = origin, gallery, checked
        self.photo_source, self.gallery_source = photo_source, gallery_source
        table = table.select(SCHEMA.names).combine_chunks()
        self.columns: dict[str, pa.Array] = {name: _whole(table[name]) for name in SCHEMA.names}
        """The columns of `SCHEMA`, for who looks at all rows at once."""
        if checked:
            self._check()
        self._lists = {name: _StructLists(self.columns[name], gallery_source) for name in ("candidates", "negatives")}

    def _check(self) -> None:
        """Look at every number once, all rows together, so that lists can be made without a look."""
        ids = self.columns["photo_id"]

        def error(row: int, fault: str) -> GeorankerError:
            return GeorankerError(f"{self.origin}, row {row} (photo {ids[int(row)]}): {fault}")

        for row in _where(~_numpy(pc.fill_null(pc.greater(pc.utf8_length(ids), 0), False))):
            raise error(row, "photo_id is empty")
        for row in _where(_numpy(pc.xor(*(pc.is_null(self.columns[name]) for name in LIMITS)))):
            raise error(row, "latitude and longitude must both be there, or neither")
        for name, limit in LIMITS.items():
            values = _numpy(self.columns[name])
            for row in _where(_numpy(pc.is_valid(self.columns[name])) & ~(np.abs(values) <= limit)):
                raise error(row, f"{name} {values[row]:.12g} is outside [-{limit:g}, {limit:g}] degrees")

        rows, numbers = _items(self.columns["embedding"])
        for item in _where(~np.isfinite(_numpy(numbers))):
            raise error(rows[item], "embedding holds a number that is not finite")
        lengths = np.bincount(rows, minlength=len(self))
        for row in _where((lengths != lengths.max(initial=0)) & _numpy(pc.is_valid(self.columns["embedding"]))):
            raise error(row, f"embedding has {lengths[row]} numbers, another row has {lengths.max()}")

        for row in _where(np.bincount(_items(self.columns["candidates"])[0], minlength=len(self)) == 0):
            raise error(row, "candidates is empty")
        for column in ("candidates", "negatives"):
            rows, structs = _items(self.columns[column])
            for name, limit in LIMITS.items():
                values = _numpy(structs.field(name))
                for item in _where(~(np.abs(values) <= limit)):
                    fault = f"{name} {values[item]:.12g} in {column} is outside [-{limit:g}, {limit:g}] degrees"
                    raise error(rows[item], fault)
            for item in _where(np.isnan(_numpy(structs.field("score")))):
                raise error(rows[item], f"score in {column} is not a number")
            gallery_rows = _numpy(pc.fill_null(structs.field("gallery_row"), 0))
            for item in _where(gallery_rows < 0):
                raise error(rows[item], f"gallery_row {gallery_rows[item]} in {column} is negative")

    @property
    def photo_ids(self) -> list[str]:
        """The ids of the photos, row by row."""
        ids: list[str] = self.columns["photo_id"].to_pylist()
        return ids

    def part(
        self, first: int = 0, retrieved: int | None = None, generated: int | None = None, negatives: int | None = None
    ) -> CandidateTable:
        """Return the same lists with fewer candidates.

        Args:
            first: so many of the retrieved candidates are left out, from the beginning of each list.
            retrieved: so many after them are kept; None for all.
            generated: so many of those whose source is "generated" are kept, from the beginning; None for all.
            negatives: so many are kept, from the end; None for all.

        Raises:
            GeorankerError: nothing is left of a list.
        """
        rows, structs = _items(self.columns["candidates"])
        guessed = _numpy(pc.fill_null(pc.equal(structs.field("source"), "generated"), False))
        kept = np.zeros(len(rows), bool)
        for items, begin, count in ((~guessed, first, retrieved), (guessed, 0, generated)):
            at = _positions(rows[items])
            kept[items] = (at >= begin) & (True if count is None else at < begin + count)
        others, _ = _items(self.columns["negatives"])
        from_end = _positions(others[::-1])[::-1]
        also_kept = np.ones(len(others), bool) if negatives is None else from_end < negatives
        if kept.all() and also_kept.all():
            return self
        cut = {"candidates": _filtered(self.columns["candidates"], kept)}
        cut["negatives"] = _filtered(self.columns["negatives"], also_kept)
        table = pa.table(self.columns | cut, SCHEMA)
        sources = self.photo_source, self.gallery_source
        return CandidateTable(table, self.origin, *sources, self.gallery, self._checked)

    def fingerprint(self) -> str:
        """Return what tells these lists from others: a hash of all rows."""
        digest = hashlib.sha256()
        with pa.ipc.new_stream(_Hashed(digest), SCHEMA.remove_metadata()) as writer:
            writer.write_table(pa.table(self.columns, SCHEMA.remove_metadata()))
        return digest.hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.columns["photo_id"])

    @overload
    def __getitem__(self, row: int) -> CandidateList: ...

    @overload
    def __getitem__(self, row: slice) -> list[CandidateList]: ...

    def __getitem__(self, row: int | slice) -> CandidateList | list[CandidateList]:
        """Return one list, or several."""
        if isinstance(row, slice):
            return [self[each] for each in range(*row.indices(len(self)))]
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        row %= len(self)
        latitude, longitude = (self.columns[name][row].as_py() for name in ("latitude", "longitude"))
        place = None if latitude is None or longitude is None else Place(latitude, longitude)
        embedding = self.columns["embedding"][row].values
        return CandidateList(
            photo=Photo(self.columns["photo_id"][row].as_py(), place, self.photo_source),
            candidates=self._lists["candidates"][row],
            negatives=self._lists["negatives"][row],
            embedding=None if embedding is None else embedding.to_numpy(),
            gallery=self.gallery,
        )


class _StructLists:
    """A list column of candidates, kept as flat numpy columns: reading them row by row through arrow is slow."""

    def __init__(self, column: pa.ListArray, source: PhotoSource | None) -> None:
        self._offsets = column.offsets.to_numpy()
        structs = column.values
        fields = {name: structs.field(name) for name in CANDIDATE.names}
        self._places = [fields[name].to_numpy() for name in ("latitude", "longitude")]
        self._scores = fields["score"].to_numpy()
        self._rows = pc.fill_null(fields["gallery_row"], -1).to_numpy()
        self._texts = [fields[name] for name in ("city", "state", "country", "source", "photo_id")]
        self._source = source

    def __getitem__(self, row: int) -> tuple[Candidate, ...]:
        part = slice(int(self._offsets[row]), int(self._offsets[row + 1]))
        latitudes, longitudes = (column[part].tolist() for column in self._places)
        scores, rows = self._scores[part].tolist(), self._rows[part].tolist()
        texts = [column[part].to_pylist() for column in self._texts]
        candidates = []
        for latitude, longitude, score, at, city, state, country, source, photo_id in zip(
            latitudes, longitudes, scores, rows, *texts, strict=True
        ):
            place = Place(latitude, longitude, city or "", state or "", country or "")
            photo = Photo(photo_id, place, self._source) if photo_id else None
            candidates.append(Candidate(place, score, photo, None if at < 0 else at, source or ""))
        return tuple(candidates)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks else pa.array([], column.type)


def _numpy(column: pa.Array) -> np.ndarray:
    values: np.ndarray = column.to_numpy(zero_copy_only=False)  # nulls among numbers become NaN
    return values


def _where(wrong: np.ndarray) -> list[int]:
    """Return where the first True is, if there is one."""
    return [int(item) for item in np.flatnonzero(wrong)[:1]]


def _items(lists: pa.ListArray) -> tuple[np.ndarray, pa.Array]:
    """Return all items of a list column, and the row of each."""
    lengths = _numpy(pc.fill_null(pc.list_value_length(lists), 0))
    return np.repeat(np.arange(len(lists)), lengths), lists.flatten()


def _positions(rows: np.ndarray) -> np.ndarray:
    """Return the place of each item in its run of equal rows, from 0."""
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    return np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))


def _filtered(lists: pa.ListArray, kept: np.ndarray) -> pa.ListArray:
    """Return lists with some of their items."""
    rows, items = _items(lists)
    return _listed(rows[kept], items.filter(pa.array(kept)), len(lists))


def _listed(rows: np.ndarray, items: pa.Array, length: int) -> pa.ListArray:
    """Return `length` lists of items, of each of which the row is known."""
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=length))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), items)


class _Hashed:
    """A file that is only hashed."""

    def __init__(self, digest: hashlib._Hash) -> None:
        self._digest, self.closed = digest, False

    def write(self, data: bytes) -> int:
        """Hash some bytes."""
        self._digest.update(data)
        return len(data)

    def close(self) -> None:
        """There is nothing to close."""

    def flush(self) -> None:
        """There is nothing to flush."""
