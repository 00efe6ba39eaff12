"""Candidates that stand in the cells of a table, a list in each cell."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from georanker.candidate_table import candidate_column
from georanker.data.literals import Value, parse_literal
from georanker.data.tables import TableFile, tell

_AT_ONCE = 4096
_OF_SIX = (1, 3, 5)  # city, state and country among neighbourhood, city, county, state, region and country

_Found = tuple[float, float, str | None, str, str, str, str]
"""A candidate: latitude, longitude, its photo, city, state, country, source."""


@dataclass(frozen=True)
class CandidateCells:
    """Which columns of a table hold candidates, and how many of them are taken.

    A cell is a list of a parquet file, or a literal as text, see `parse_literal`.
    """

    places: str
    """The column of lists of (latitude, longitude), best first."""
    photos: str | None = None
    """The column of their photos in the gallery."""
    names: str | None = None
    """The column of their names: city, state and country, or neighbourhood, city, county, state, region and country."""
    generated: str | None = None
    """The column of places that a language model has guessed."""
    retrieved_count: int | None = None
    """How many of a list are taken; None for all."""
    generated_count: int | None = None
    """How many of the guessed places are taken; None for all."""
    negative_count: int = 5
    """How many negatives are taken, from the end of the full list."""

    @property
    def columns(self) -> list[str]:
        """The columns to read."""
        return [name for name in (self.places, self.photos, self.names, self.generated) if name]

    def read(self, table: TableFile) -> tuple[pa.Array, pa.Array]:
        """Return the columns candidates and negatives of `georanker.candidate_table.SCHEMA`.

        A row whose cells cannot be used is a fault of the table, and empty here. Of the guessed places that are taken,
        those are left out and counted that are no place on the Earth, or the (0, 0) that the public code of the paper
        writes for an answer it could not parse.
        """
        candidates, negatives, guessed, left_out = [_column([])], [_column([])], 0, 0
        for start in range(0, len(table), _AT_ONCE):
            columns = {name: table.columns[name][start : start + _AT_ONCE].to_pylist() for name in self.columns}
            found: list[Sequence[_Found]] = []
            full: list[Sequence[_Found]] = []
            for at in range(len(columns[self.places])):
                try:
                    listed, guesses, unparsed = self._row({name: cells[at] for name, cells in columns.items()})
                except _CellError as error:
                    table.fault([start + at], error.column, str(error), error.kind)
                    listed, guesses, unparsed = [], [], 0
                found.append([*listed[: self.retrieved_count], *guesses])
                full.append(listed[max(0, len(listed) - self.negative_count) :])
                guessed, left_out = guessed + len(guesses) + unparsed, left_out + unparsed
            candidates.append(_column(found))
            negatives.append(_column(full))
        if left_out:
            reason = "they could not be parsed, or are not on the Earth"
            tell(f"{table.path}: {left_out:,} of {guessed:,} generated places are left out: {reason}")
        return pa.concat_arrays(candidates), pa.concat_arrays(negatives)

    def _row(self, cells: Mapping[str, object]) -> tuple[list[_Found], list[_Found], int]:
        """Return the full list, the guesses that are taken, and how many of those cannot be used."""
        places = [_place(self.places, each) for each in _listed(self.places, cells[self.places])]
        photos: list[str | None] = [None] * len(places)
        names = [("", "", "")] * len(places)
        if self.photos:
            photos = [_photo(self.photos, each) for each in _listed(self.photos, cells[self.photos], len(places))]
        if self.names:
            names = [_names(self.names, each) for each in _listed(self.names, cells[self.names], len(places))]
        retrieved = [
            (*place, photo, *three, "retrieved") for place, photo, three in zip(places, photos, names, strict=True)
        ]
        guesses: list[_Found] = []
        taken: list[Value] = []
        if self.generated and cells[self.generated] not in (None, ""):
            taken = _listed(self.generated, cells[self.generated])[: self.generated_count]
        for each in taken:
            pair = _pair(each)
            if pair is not None and pair != (0.0, 0.0):
                guesses.append((*pair, None, "", "", "", "generated"))
        if not places[: self.retrieved_count] and not guesses:
            raise _CellError(self.places, "holds no candidate")
        return retrieved, guesses, len(taken) - len(guesses)


class _CellError(Exception):
    """A cell cannot be used."""

    def __init__(self, column: str, reason: str, kind: str = "") -> None:
        super().__init__(reason)
        self.column, self.kind = column, kind


def _strange(column: str, value: Value, wanted: str) -> _CellError:
    return _CellError(column, f"holds {value!r:.60}, which is not {wanted}", f"holds what is not {wanted}")


def _listed(column: str, cell: object, length: int | None = None) -> list[Value]:
    if cell is None or cell == "":
        raise _CellError(column, "is empty")
    try:
        found = parse_literal(cell) if isinstance(cell, str) else cell
    except ValueError as error:
        kind = "is not a literal that can be read"
        raise _CellError(column, f"{kind} ({error})", kind) from error
    if not isinstance(found, list):
        raise _CellError(column, "is not a list")
    if length is not None and len(found) != length:
        reason = f"is a list of {len(found)}, not of {length} as the places"
        raise _CellError(column, reason, "is a list of another length than the places")
    return found


def _pair(value: Value) -> tuple[float, float] | None:
    """Return latitude and longitude, None if it is no place on the Earth."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    latitude, longitude = value
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in value):
        return None
    assert isinstance(latitude, int | float)
    assert isinstance(longitude, int | float)
    return (float(latitude), float(longitude)) if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def _place(column: str, value: Value) -> tuple[float, float]:
    found = _pair(value)
    if found is None:
        raise _strange(column, value, "(latitude, longitude) in degrees")
    return found


def _photo(column: str, value: Value) -> str | None:
    if value is None or isinstance(value, str | int):
        return None if value is None else str(value)
    raise _strange(column, value, "the id of a photo")


def _names(column: str, value: Value) -> tuple[str, str, str]:
    """Return city, state and country; what is no text, such as None and nan, is unknown."""
    if not isinstance(value, list) or len(value) not in (3, 6):
        raise _strange(column, value, "a list of 3 or 6 names")
    three = value if len(value) == 3 else [value[at] for at in _OF_SIX]
    city, state, country = (each if isinstance(each, str) else "" for each in three)
    return city, state, country


def _column(lists: Sequence[Sequence[_Found]]) -> pa.Array:
    flat = list(itertools.chain.from_iterable(lists))
    latitudes, longitudes, photos, *texts = zip(*flat, strict=True) if flat else ((),) * 7
    cities, states, countries, sources = (pa.array(texts_, pa.string()) for texts_ in texts)
    return candidate_column(
        np.array([len(each) for each in lists], np.int64),
        np.array(latitudes, np.float64),
        np.array(longitudes, np.float64),
        photo_ids=pa.array(photos, pa.string()),
        sources=sources,
        cities=cities,
        states=states,
        countries=countries,
    )
