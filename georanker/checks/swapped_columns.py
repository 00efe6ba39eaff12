"""Latitude and longitude in each other's column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from georanker.checks.base import Check, Finding, Lists, Split, found, possible
from georanker.gazetteer import gazetteer

LEAST = 20
"""Places below which nothing can be said."""
MOST = 10_000
"""Places above which no more are looked up."""
NEAR_CANDIDATE_KM = 200.0
NEAR_SETTLEMENT_KM = 50.0
GAIN = 0.3
"""How much larger the share that fits must be with swapped columns; by chance it would not get larger."""


class SwappedColumns(Check):
    """Finds splits that make much more sense with latitude and longitude swapped.

    Three witnesses: candidates (the best of a list should be near the truth), the names of countries (the gazetteer
    should agree), and settlements (photos are taken where people are). Any one of them is enough.
    """

    def findings(self, splits: Sequence[Split]) -> Iterator[Finding]:
        """Yield the witnesses of each split."""
        for split in splits:
            witnesses = [*_by_names("photos", split.places, split.countries), *_by_settlements(split.places)]
            if (lists := split.lists) is not None:
                witnesses += [*_by_candidates(lists), *_by_names("candidates", lists.places, lists.countries)]
            fix = "swap the columns of latitude and longitude, of the truth or of the candidates, and check again"
            yield from found(split.name, "signs that latitude and longitude are swapped", witnesses, fix)


def _by_candidates(lists: Lists) -> Iterator[str]:
    if (~np.isnan(lists.truth).any(1)).sum() < LEAST:
        return
    given = (lists.best_km(lists.distance_km) < NEAR_CANDIDATE_KM).mean()
    swapped = (lists.best_km(lists.distances_km(lists.truth[:, ::-1])) < NEAR_CANDIDATE_KM).mean()
    if swapped > given + GAIN:
        what = f"of photos have a candidate within {NEAR_CANDIDATE_KM:g} km"
        yield f"{given:.0%} {what} as it is, {swapped:.0%} with the truth's columns swapped"


def _by_names(whose: str, places: np.ndarray, countries: pa.Array) -> Iterator[str]:
    named = pc.not_equal(pc.fill_null(countries, ""), "").to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(named)[:MOST]
    if len(rows) < LEAST:
        return
    names = np.array([name.casefold() for name in countries.take(pa.array(rows)).to_pylist()], object)
    given, swapped = (
        np.mean([name.casefold() for name in gazetteer().lookup(possible(each)).country] == names)
        for each in (places[rows], places[rows][:, ::-1])
    )
    if swapped > given + GAIN:
        yield f"{given:.0%} of {whose} lie in the country that they name as it is, {swapped:.0%} with columns swapped"


def _by_settlements(places: np.ndarray) -> Iterator[str]:
    known = places[~np.isnan(places).any(1)]
    if len(known) < LEAST:
        return
    known = known[:: -(-len(known) // MOST)]
    given, swapped = (
        np.mean(gazetteer().lookup(possible(each)).distance_km < NEAR_SETTLEMENT_KM) for each in (known, known[:, ::-1])
    )
    if swapped > given + GAIN:
        what = f"of photos are within {NEAR_SETTLEMENT_KM:g} km of a settlement"
        yield f"{given:.0%} {what} as it is, {swapped:.0%} with columns swapped"
