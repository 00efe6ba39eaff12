"""GeoRanking.parquet, the paper's file of training lists: what is in it, how it is written, and how it is read."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from georanker.candidate_table import SCHEMA as LISTS
from georanker.candidate_table import candidate_column
from georanker.data.swapped import swapped
from georanker.data.tables import BadRows, TableFile
from georanker.rows import write_rows
from georanker.stores.names import spelled_alike
from georanker.types import LIMITS, CandidateList, GeorankerError, Place

_PLACE = pa.list_(pa.float64())
SCHEMA = pa.schema(
    {
        "img_id": pa.string(),
        "gps": _PLACE,
        "ref_gps": pa.list_(_PLACE),
        "ref_img_id": pa.list_(pa.string()),
        "ref_texts": pa.list_(pa.list_(pa.string())),
    }
)
"""A photo, its latitude and longitude, and the place, the photo and the names of each of its references."""
_METADATA = b"georanker.georanking"

_Fault: TypeAlias = tuple[np.ndarray, str, str]
"""Rows that cannot be used, the column, and the reason."""


def write_georanking(path: Path, lists: Iterable[tuple[Place, CandidateList]], told: Mapping[str, object]) -> int:
    """Write lists as they come: the photo itself at rank 0, then its candidates, then its negatives.

    Args:
        path: the file to write, whole or not at all.
        lists: the true place of each photo, with names, and its candidates, all of which have photos.
        told: goes into the metadata of the file, where `told` finds it.

    Returns:
        How many rows were written.
    """
    schema = SCHEMA.with_metadata({_METADATA: json.dumps(told).encode()})
    return write_rows(path, schema, itertools.starmap(_row, lists))


def _row(place: Place, found: CandidateList) -> dict[str, object]:
    references = (*found.candidates, *found.negatives)
    places = [place, *(reference.place for reference in references)]
    return {
        "img_id": found.photo.id,
        "gps": [place.latitude, place.longitude],
        "ref_gps": [[each.latitude, each.longitude] for each in places],
        "ref_img_id": [found.photo.id, *(reference.photo.id for reference in references if reference.photo)],
        "ref_texts": [list(each.names) for each in places],
    }


def told(path: Path) -> dict[str, object]:
    """Return what `write_georanking` was told of a file; nothing of a file that is not there, or not of its making."""
    try:
        metadata = pq.read_schema(path).metadata or {}
        found = json.loads(metadata.get(_METADATA, b"{}"))
    except (OSError, ValueError, pa.ArrowException):
        return {}
    return found if isinstance(found, dict) else {}


def read_georanking(path: Path, ranks: tuple[int, int], negatives: int, on_bad_rows: BadRows, report: Path) -> pa.Table:
    """Return the lists of a file as `georanker.candidate_table.SCHEMA` has them.

    Ranks count from 0 where the first reference is the photo itself, by its id up to `/` or `_` and a photo's suffix,
    which is then no candidate, and from 1 where it is another one. All texts of a reference, joined with spaces, are
    the `city` of its place: so the prompt shows them as the paper's does in training.

    Args:
        path: the file.
        ranks: the first and the last rank of the candidates.
        negatives: so many of the last references are negatives.
        on_bad_rows: what to do with a row that cannot be used.
        report: where to write such rows if they are skipped.

    Raises:
        GeorankerError: the file cannot be read, a column is missing or of another kind, latitude and longitude are
            swapped, or a row cannot be used.
    """
    file = TableFile(path, SCHEMA.names)
    batch = pa.RecordBatch.from_arrays([_cast(file, field) for field in SCHEMA], schema=SCHEMA)
    rows = np.arange(len(file))
    least = functools.partial(_few, least=max(ranks[1], negatives))
    for check in (_lengths, _items, least, functools.partial(_places, path=path)):
        good = np.ones(len(rows), bool)
        for at, column, reason in check(batch):
            file.fault(rows[at], column, reason)
            good[at] = False
        if not good.all():  # the next check may trust what this one has looked at
            batch, rows = batch.filter(pa.array(good)), rows[good]
    file.usable(on_bad_rows, report)
    return _lists(batch, ranks, negatives)


def _cast(file: TableFile, field: pa.Field) -> pa.Array:
    column = file.columns[field.name]
    try:
        return column.cast(field.type)
    except pa.ArrowException as error:
        raise GeorankerError(f"{file.path}, column {field.name}: holds {column.type}, not {field.type}") from error


def _lengths(batch: pa.RecordBatch) -> Iterator[_Fault]:
    yield np.flatnonzero(_is_empty(batch["img_id"])), "img_id", "is empty"
    yield np.flatnonzero(_sizes(batch["gps"]) != 2), "gps", "is not latitude and longitude"
    sizes = _sizes(batch["ref_gps"])
    yield np.flatnonzero(sizes == 0), "ref_gps", "has no places"
    for name in ("ref_img_id", "ref_texts"):
        yield np.flatnonzero(_sizes(batch[name]) != sizes), name, "has another length than ref_gps"


def _items(batch: pa.RecordBatch) -> Iterator[_Fault]:
    yield from _of_ranks(batch, _is_empty(batch["ref_img_id"].flatten()), "ref_img_id", "is empty")
    wrong = _sizes(batch["ref_gps"].flatten()) != 2
    yield from _of_ranks(batch, wrong, "ref_gps", "is not latitude and longitude")


def _few(batch: pa.RecordBatch, least: int) -> Iterator[_Fault]:
    beside = _sizes(batch["ref_gps"]) - _is_own(batch)
    reason = f"is too short: {least} references beside the photo itself are needed"
    yield np.flatnonzero(beside < least), "ref_img_id", reason


def _check_order(path: Path, batch: pa.RecordBatch) -> None:
    """Raise if latitude and longitude are swapped, in the photos' places or in those of their references."""
    for name, column in (("gps", batch["gps"]), ("ref_gps", batch["ref_gps"].flatten())):
        places = _degrees(column)
        beyond = swapped(*places.T)
        if beyond:
            raise GeorankerError(
                f"{path}, column {name}: latitude and longitude are swapped: {beyond:,} of {len(places):,} latitudes "
                "are beyond 90 degrees, and no longitude is; write latitude first"
            )


def _places(batch: pa.RecordBatch, path: Path) -> Iterator[_Fault]:
    _check_order(path, batch)
    for axis, (name, limit) in enumerate(LIMITS.items()):
        reason = f"has a {name} outside [-{limit:g}, {limit:g}] degrees"
        own, others = (_degrees(column)[:, axis] for column in (batch["gps"], batch["ref_gps"].flatten()))
        yield np.flatnonzero(~(np.abs(own) <= limit)), "gps", reason
        yield from _of_ranks(batch, ~(np.abs(others) <= limit), "ref_gps", reason)


def _of_ranks(batch: pa.RecordBatch, wrong: np.ndarray, column: str, reason: str) -> Iterator[_Fault]:
    """Yield the rows of references that are wrong, by their rank."""
    if not wrong.any():
        return
    sizes = _sizes(batch["ref_gps"])
    rows = np.repeat(np.arange(len(sizes)), sizes)
    ranks = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    for rank in np.unique(ranks[wrong]).tolist():
        yield rows[wrong & (ranks == rank)], column, f"at rank {rank} {reason}"


def _lists(batch: pa.RecordBatch, ranks: tuple[int, int], negatives: int) -> pa.Table:
    sizes = _sizes(batch["ref_gps"])
    ends = np.cumsum(sizes)
    first = (ends - sizes + _is_own(batch))[:, None]
    ids, texts = batch["ref_img_id"].flatten(), batch["ref_texts"].flatten()
    places = _degrees(batch["ref_gps"].flatten())

    def column(at: np.ndarray) -> pa.ListArray:
        latitudes, longitudes = places[at.ravel()].T
        taken = pa.array(at.ravel())
        return candidate_column(
            np.full(len(at), at.shape[1]),
            latitudes,
            longitudes,
            photo_ids=ids.take(taken),
            cities=_joined(texts.take(taken)),
        )

    latitude, longitude = _degrees(batch["gps"]).T
    columns = {
        "photo_id": batch["img_id"],
        "latitude": latitude,
        "longitude": longitude,
        "embedding": pa.nulls(len(batch), LISTS.field("embedding").type),
        "candidates": column(first + np.arange(ranks[0] - 1, ranks[1])),
        "negatives": column(ends[:, None] - np.arange(negatives, 0, -1)),
    }
    return pa.table(columns, LISTS)


def _joined(texts: pa.ListArray) -> pa.Array:
    """Join the texts of each list with spaces, empty ones too, as the paper's code does; null is no text."""
    if texts.flatten().null_count:
        kept = [[text for text in each or () if text is not None] for each in texts.to_pylist()]
        texts = pa.array(kept, texts.type)
    return pc.binary_join(texts, " ")


def _is_own(batch: pa.RecordBatch) -> np.ndarray:
    """Return (N,) whether the first reference of each row is the photo itself, in any spelling of its id."""
    first, own = map(spelled_alike, (pc.list_element(batch["ref_img_id"], 0), batch["img_id"]))
    same: np.ndarray = pc.equal(first, own).to_numpy(zero_copy_only=False)
    return same


def _is_empty(texts: pa.Array) -> np.ndarray:
    empty: np.ndarray = pc.fill_null(pc.equal(texts, ""), True).to_numpy(zero_copy_only=False)
    return empty


def _degrees(pairs: pa.ListArray) -> np.ndarray:
    degrees: np.ndarray = pairs.flatten().to_numpy(zero_copy_only=False).reshape(-1, 2)
    return degrees


def _sizes(lists: pa.ListArray) -> np.ndarray:
    sizes: np.ndarray = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return sizes
