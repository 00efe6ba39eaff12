"""Coordinates that cannot be, or that stand for something else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from georanker.checks.base import Check, Finding, Lists, Split, found
from georanker.geodesy import geodesic_km

ELSEWHERE_KM = 25.0


class BadCoordinates(Check):
    """Finds coordinates that are out of range, at 0, 0, impossible in EXIF, or unlike the photo's own EXIF."""

    def findings(self, splits: Sequence[Split]) -> Iterator[Finding]:
        """Yield them split by split."""
        for split in splits:
            zeros = split.ids.take(pa.array(np.flatnonzero((split.places == 0).all(1))))
            fix = "0, 0 usually stands for a place that is not known: leave these places empty"
            yield from found(split.name, "photos at 0, 0", zeros, fix)
            yield from _exif(split)
            if split.lists is not None:
                yield from _truths(split.name, split.lists)
                for lists in (split.lists, split.lists.negatives):
                    yield from _candidates(split.name, lists)


def _exif(split: Split) -> Iterator[Finding]:
    rows = pc.index_in(pa.array(list(split.looks), pa.string()), value_set=split.ids).to_pylist()
    places = {id_: split.places[row] for id_, row in zip(split.looks, rows, strict=True) if row is not None}
    known = {id_: place for id_, place in places.items() if not np.isnan(place).any()}
    faults = [
        f"photo {id_}: {look.exif_fault}"
        for id_, look in split.looks.items()
        if look.exif_fault and not look.fault and id_ not in known
    ]
    fix = "their places are taken as unknown: correct the EXIF, or give the truth in a table"
    yield from found(split.name, "photos whose EXIF GPS cannot be", faults, fix)

    exif = {id_: look.exif for id_, look in split.looks.items() if look.exif and id_ in known}
    own = torch.tensor([(place.latitude, place.longitude) for place in exif.values()], dtype=torch.float64)
    given = torch.from_numpy(np.array([known[id_] for id_ in exif]).reshape(-1, 2))
    km = geodesic_km(given, own.reshape(-1, 2)).tolist()
    elsewhere = [
        f"photo {id_}: {far:,.0f} km from {place}"
        for (id_, place), far in zip(exif.items(), km, strict=True)
        if far > ELSEWHERE_KM
    ]
    fix = "either the data or the photo is wrong: look whether rows were shifted or columns swapped"
    yield from found(split.name, f"photos over {ELSEWHERE_KM:g} km from their own EXIF GPS", elsewhere, fix)


def _truths(name: str, lists: Lists) -> Iterator[Finding]:
    beyond = np.flatnonzero(_beyond(lists.truth))
    yield from found(
        name,
        "lists whose truth is not on the Earth",
        beyond,
        _fix(lists.truth[beyond]),
        lambda row: f"{lists.list_line(row)}: {_shown(lists.truth[row])}",
    )


def _candidates(name: str, lists: Lists) -> Iterator[Finding]:
    beyond = np.flatnonzero(_beyond(lists.places) | np.isnan(lists.places).any(1))
    yield from found(
        name,
        f"{lists.whose} that are not on the Earth",
        beyond,
        _fix(lists.places[beyond]),
        lambda item: f"{lists.candidate_line(item)}: {_shown(lists.places[item])}",
    )
    zeros = np.flatnonzero((lists.places == 0).all(1))
    fix = f"0, 0 usually stands for an answer that was not understood: leave these {lists.whose} out"
    yield from found(name, f"{lists.whose} at 0, 0", zeros, fix, lists.candidate_line)


def _beyond(places: np.ndarray) -> np.ndarray:
    return np.asarray((np.abs(places) > (90.0, 180.0)).any(1))


def _shown(place: np.ndarray) -> str:
    return f"{place[0]:.6g}, {place[1]:.6g}"


def _fix(places: np.ndarray) -> str:
    swapped = int((np.abs(places) <= (180.0, 90.0)).all(1).sum())
    if swapped:
        return f"{swapped:,} of them would be, were latitude and longitude swapped: look at the order of the columns"
    return "correct or drop these rows"
