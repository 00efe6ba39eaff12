"""The contract of checks: what they look at, and what they say."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from georanker.geodesy import geodesic_km
from georanker.types import LIMITS, Place

SHOWN = 5
"""Rows of a finding that are shown; the others are counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong."""

    split: str
    what: str
    """In the plural, such as "missing photos"."""
    count: int
    rows: Sequence[str]
    """A line for each, or for the first of them: an id or row, and what is the matter with it."""
    fix: str
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Look:
    """What reading a photo gave."""

    fault: str = ""
    """Why it cannot be read; "" if it can."""
    missing: bool = False
    """Whether there is no such photo, rather than a broken one."""
    digest: bytes = b""
    """Tells its bytes from others'; b"" where it was not read."""
    exif: Place | None = None
    """Where it says that it was taken."""
    exif_fault: str = ""
    """Why that cannot be."""


class Lists:
    """Candidate lists as columns: N lists, M candidates of all of them together.

    Args:
        columns: those of `georanker.candidate_table.SCHEMA`; their numbers may be wrong.
        origin: what names the rows, such as a file.
        whose: candidates, or negatives, which are then the candidates of these lists.
    """

    def __init__(self, columns: Mapping[str, pa.Array], origin: str, whose: str = "candidates") -> None:
        self.origin, self.whose, self._columns = origin, whose, columns
        self.ids: pa.Array = columns["photo_id"]
        """(N,) the photos."""
        self.truth = _places(columns["latitude"], columns["longitude"])
        """(N, 2) degrees, NaN where unknown."""
        column = columns[whose]
        self.row: np.ndarray = pc.list_parent_indices(column).to_numpy()
        """(M,) the list that each candidate stands in."""
        items = column.flatten()
        self.candidate_ids: pa.Array = items.field("photo_id")
        """(M,) the gallery's photos, null where there is none."""
        self.places = _places(items.field("latitude"), items.field("longitude"))
        """(M, 2) degrees; here what cannot be is left as it is."""
        self.countries: pa.Array = items.field("country")
        """(M,) names, null or "" where unknown."""
        self.lengths: np.ndarray = np.bincount(self.row, minlength=len(self.ids))
        """(N,) candidates of each list."""

    def __len__(self) -> int:
        return len(self.ids)

    @functools.cached_property
    def negatives(self) -> Lists:
        """The lists of the negatives of the same photos."""
        return Lists(self._columns, self.origin, "negatives")

    def distances_km(self, truth: np.ndarray) -> np.ndarray:
        """Return (M,) geodesics from places (N, 2) to the candidates of each; NaN where one is unknown or cannot be."""
        ends = [torch.from_numpy(possible(each)) for each in (truth[self.row], self.places)]
        return np.asarray(geodesic_km(*ends))

    @functools.cached_property
    def distance_km(self) -> np.ndarray:
        """(M,) how far each candidate is from the truth."""
        return self.distances_km(self.truth)

    def best_km(self, distances_km: np.ndarray) -> np.ndarray:
        """Return (N,) the distance of the nearest candidate of each list; infinite where none is known."""
        best = np.full(len(self), np.inf)
        np.minimum.at(best, self.row, np.nan_to_num(distances_km, nan=np.inf))
        return best

    def first_km(self) -> np.ndarray:
        """Return (N,) the distance of the first candidate of each list; infinite where it is unknown."""
        first = np.full(len(self), np.inf)
        rows, at = np.unique(self.row, return_index=True)
        first[rows] = np.nan_to_num(self.distance_km[at], nan=np.inf)
        return first

    def list_line(self, row: int) -> str:
        """Return words for a list."""
        return f"row {row} (photo {self.ids[int(row)]})"

    def candidate_line(self, item: int) -> str:
        """Return words for a candidate: the list it stands in, and which of it it is."""
        row = self.row[item]
        return f"{self.list_line(row)}, {self.whose.removesuffix('s')} {item - np.searchsorted(self.row, row)}"


@dataclass(frozen=True)
class Split:
    """A split of a benchmark, as checks look at it."""

    name: str
    ids: pa.Array
    """(N,) texts, of its photos; columns, since a gallery may have millions."""
    places: np.ndarray
    """(N, 2) degrees, NaN where unknown."""
    countries: pa.Array
    """(N,) names, null or "" where unknown."""
    lists: Lists | None = None
    looks: Mapping[str, Look] = field(default_factory=dict)
    """What reading its photos gave, by id; photos that a sample left out are not in it."""
    candidate_looks: Mapping[str, Look] = field(default_factory=dict)
    """What reading the candidates' photos gave, by id."""


class Check(ABC):
    """Looks for one kind of mistake."""

    @abstractmethod
    def findings(self, splits: Sequence[Split]) -> Iterator[Finding]:
        """Yield what is wrong, split by split."""


def found(
    split: str, what: str, items: Sequence[Any] | np.ndarray, fix: str, line: Callable[[Any], str] = str
) -> Iterator[Finding]:
    """Yield a finding if there is anything in `items`, which `line` puts into words when they are asked for."""
    if len(items):
        yield Finding(split, what, len(items), _Lines(items, line), fix)


@dataclass(frozen=True, slots=True)
class _Lines(Sequence[str]):
    """Lines for items, of which there may be millions, and few are looked at."""

    items: Sequence[Any] | np.ndarray
    line: Callable[[Any], str]

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> list[str]: ...

    def __getitem__(self, row: int | slice) -> str | list[str]:
        """Return one line, or several."""
        return [self.line(item) for item in self.items[row]] if isinstance(row, slice) else self.line(self.items[row])


def possible(places: np.ndarray) -> np.ndarray:
    """Return (N, 2) places with NaN for those that are not on the Earth."""
    return np.where((np.abs(places) <= tuple(LIMITS.values())).all(1, keepdims=True), places, np.nan)


def digest_codes(ids: pa.Array, looks: Mapping[str, Look]) -> np.ndarray:
    """Return (M,) a number for the bytes of each photo, equal where they are equal; -1 where they were not read."""
    read = {id_: look.digest for id_, look in looks.items() if look.digest}
    at = pc.fill_null(pc.index_in(ids, value_set=pa.array(list(read), pa.string())), -1).to_numpy(zero_copy_only=False)
    # A hash's first eight bytes as a number; its sign bit is cleared, which leaves -1 for what was not read.
    codes = [int.from_bytes(digest[:8], "big") >> 1 for digest in read.values()]
    return np.asarray(np.array([*codes, -1], np.int64)[at])


def _places(latitudes: pa.Array, longitudes: pa.Array) -> np.ndarray:
    return np.stack([column.to_numpy(zero_copy_only=False).astype(np.float64) for column in (latitudes, longitudes)], 1)
