"""The candidates file, where retrieval and ranking meet: parquet, one row a photo, list columns for its candidates.

Either half can be swapped, cached, resumed or shared, because the other one sees nothing but this file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from georanker.files import file_beside
from georanker.types import Candidate, CandidateList, GeorankerError, Photo, PhotoSource, Place

FORMAT_VERSION = 1
_METADATA = b"georanker.candidates"
_ROWS_A_GROUP = 1024
_LIMITS = {"latitude": 90.0, "longitude": 180.0}

_CANDIDATE = pa.struct(
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
_SCHEMA = pa.schema(
    {
        "photo_id": pa.string(),
        "latitude": pa.float64(),
        "longitude": pa.float64(),
        "embedding": pa.list_(pa.float32()),
        "candidates": pa.list_(_CANDIDATE),
        "negatives": pa.list_(_CANDIDATE),
    }
)


def write_candidates(path: Path, lists: Iterable[CandidateList], retriever: str, gallery: Path | None) -> int:
    """Write lists as they come, with memory that does not grow with their number.

    Args:
        path: the file to write, whole or not at all.
        lists: from a retriever, in the order of the photos.
        retriever: the fingerprint of the retriever.
        gallery: the folder that `gallery_row` counts in; kept relative to the file, so that both can move together.

    Returns:
        How many lists were written.
    """
    relative = Path(os.path.relpath(gallery.absolute(), path.parent.absolute())).as_posix() if gallery else ""
    metadata = {"version": FORMAT_VERSION, "retriever": retriever, "gallery": relative}
    schema = _SCHEMA.with_metadata({_METADATA: json.dumps(metadata).encode()})
    written = 0
    with file_beside(path) as part, pq.ParquetWriter(part, schema) as writer:
        rows: list[dict[str, object]] = []
        for found in lists:
            rows.append(_row(found))
            if len(rows) == _ROWS_A_GROUP:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                written += len(rows)
                rows.clear()
        writer.write_table(pa.Table.from_pylist(rows, schema))
    return written + len(rows)


def _row(found: CandidateList) -> dict[str, object]:
    place = found.photo.place
    return {
        "photo_id": found.photo.id,
        "latitude": place.latitude if place else None,
        "longitude": place.longitude if place else None,
        "embedding": found.embedding,
        "candidates": [_struct(candidate) for candidate in found.candidates],
        "negatives": [_struct(candidate) for candidate in found.negatives],
    }


def _struct(candidate: Candidate) -> dict[str, object]:
    place = candidate.place
    return {
        "photo_id": candidate.photo.id if candidate.photo else None,
        "gallery_row": candidate.gallery_row,
        "latitude": place.latitude,
        "longitude": place.longitude,
        "score": candidate.score,
        "source": candidate.source,
        "city": place.city,
        "state": place.state,
        "country": place.country,
    }


class CandidatesFile(Sequence[CandidateList]):
    """A candidates file that is open for reading; lists are made when they are asked for.

    Args:
        path: the file.
        photo_source: holds the bytes of the photos.
        gallery_source: holds the bytes of the candidates' photos.

    Raises:
        GeorankerError: the file is missing, cut short or of another format, or a row holds what cannot be: a place that
            does not exist, a score that is not a number, an empty list, a vector of another length than the others.
    """

    def __init__(
        self, path: Path, photo_source: PhotoSource | None = None, gallery_source: PhotoSource | None = None
    ) -> None:
        self._arguments = (path, photo_source, gallery_source)
        self.path = path
        try:
            table = pq.read_table(path)
            metadata = json.loads((table.schema.metadata or {})[_METADATA])
        except FileNotFoundError as error:
            raise GeorankerError(f"candidates file {path}: not there; make it with `georanker retrieve`") from error
        except KeyError as error:
            raise GeorankerError(f"candidates file {path}: not written by `georanker retrieve`") from error
        except (OSError, ValueError, pa.ArrowException) as error:
            raise GeorankerError(f"candidates file {path}: cannot be read ({error})") from error
        if metadata.get("version") != FORMAT_VERSION or not table.schema.equals(_SCHEMA):
            raise GeorankerError(f"candidates file {path}: another format version; write it again")
        self.retriever: str = metadata["retriever"]
        self.gallery = os.path.normpath(path.parent / metadata["gallery"]) if metadata["gallery"] else ""
        self._check_gallery(path)
        self.photo_source, self.gallery_source = photo_source, gallery_source
        table = table.combine_chunks()
        self._columns = {name: _whole(table[name]) for name in _SCHEMA.names}
        self._check(path)
        self._lists = {name: _StructLists(self._columns[name], gallery_source) for name in ("candidates", "negatives")}

    def __reduce__(self) -> tuple[type, tuple[Path, PhotoSource | None, PhotoSource | None]]:
        return type(self), self._arguments  # a spawned worker opens the file itself

    def _check_gallery(self, path: Path) -> None:
        """Raise if the gallery was built again by another retriever: its rows hold other vectors now."""
        head = Path(self.gallery) / "gallery.json"
        if self.gallery and head.exists() and json.loads(head.read_text()).get("retriever") != self.retriever:
            raise GeorankerError(
                f"candidates file {path}: gallery {self.gallery} was built again by another retriever; "
                "retrieve again with `georanker retrieve`"
            )

    def _check(self, path: Path) -> None:
        """Look at every number once, all rows together, so that lists can be made without a look."""
        ids = self._columns["photo_id"]

        def error(row: int, fault: str) -> GeorankerError:
            return GeorankerError(f"candidates file {path}, row {row} (photo {ids[int(row)]}): {fault}")

        for row in _where(~_numpy(pc.fill_null(pc.greater(pc.utf8_length(ids), 0), False))):
            raise error(row, "photo_id is empty")
        for row in _where(_numpy(pc.xor(*(pc.is_null(self._columns[name]) for name in _LIMITS)))):
            raise error(row, "latitude and longitude must both be there, or neither")
        for name, limit in _LIMITS.items():
            values = _numpy(self._columns[name])
            for row in _where(_numpy(pc.is_valid(self._columns[name])) & ~(np.abs(values) <= limit)):
                raise error(row, f"{name} {values[row]:.12g} is outside [-{limit:g}, {limit:g}] degrees")

        rows, numbers = _items(self._columns["embedding"])
        for item in _where(~np.isfinite(_numpy(numbers))):
            raise error(rows[item], "embedding holds a number that is not finite")
        lengths = np.bincount(rows, minlength=len(self))
        for row in _where((lengths != lengths.max(initial=0)) & _numpy(pc.is_valid(self._columns["embedding"]))):
            raise error(row, f"embedding has {lengths[row]} numbers, another row has {lengths.max()}")

        for row in _where(np.bincount(_items(self._columns["candidates"])[0], minlength=len(self)) == 0):
            raise error(row, "candidates is empty")
        for column in ("candidates", "negatives"):
            rows, structs = _items(self._columns[column])
            for name, limit in _LIMITS.items():
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
        ids: list[str] = self._columns["photo_id"].to_pylist()
        return ids

    def fingerprint(self) -> str:
        """Return what tells these lists from others: a hash of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]

    def __len__(self) -> int:
        return len(self._columns["photo_id"])

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
        latitude, longitude = (self._columns[name][row].as_py() for name in ("latitude", "longitude"))
        place = None if latitude is None or longitude is None else Place(latitude, longitude)
        embedding = self._columns["embedding"][row].values
        return CandidateList(
            photo=Photo(self._columns["photo_id"][row].as_py(), place, self.photo_source),
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
        fields = {name: structs.field(name) for name in _CANDIDATE.names}
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
