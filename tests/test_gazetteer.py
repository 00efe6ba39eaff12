"""The gazetteer finds the nearest settlement anywhere, and names only what is near enough."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from georanker.gazetteer import (
    ATTRIBUTION,
    CITY_WITHIN_KM,
    COUNTRY_WITHIN_KM,
    STATE_WITHIN_KM,
    Gazetteer,
    gazetteer,
)
from georanker.geodesy import geodesic_km
from georanker.types import Place


def haversine_km(point: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The plain formula, by which each settlement of the world is measured."""
    lat, lon, lats, lons = (np.radians(each) for each in (*point, *places.T))
    h = np.sin((lats - lat) / 2) ** 2 + np.cos(lat) * np.cos(lats) * np.sin((lons - lon) / 2) ** 2
    return np.asarray(2 * 6371.0088 * np.arcsin(np.sqrt(h)))


def points() -> np.ndarray:
    """Points anywhere, around settlements, along the antimeridian and at the poles."""
    random = np.random.default_rng(7)
    anywhere = np.stack([np.degrees(np.arcsin(random.uniform(-1, 1, 80))), random.uniform(-180, 180, 80)], 1)
    near = gazetteer().places[random.integers(0, len(gazetteer().places), 80)] + random.normal(size=(80, 2)) * 0.2
    edge = np.stack([random.uniform(-90, 90, 40), np.tile([180.0, -180.0, 179.999, -179.999], 10)], 1)
    poles = np.array([(lat, lon) for lat in (90.0, -90.0, 89.9, -89.9) for lon in (-180.0, -77.0, 0.0, 180.0)])
    return np.concatenate([anywhere, near, edge, poles])


def test_the_nearest_is_the_nearest_of_all() -> None:
    places = points()
    found = gazetteer().lookup(places)
    for row, place in enumerate(places):
        km = haversine_km(place, gazetteer().places)
        nearest = gazetteer().places[km <= km.min() + 1e-6]  # two may stand equally near
        assert found.centre[row].tolist() in nearest.tolist(), place
        # The ellipsoid differs from the sphere by up to 0.56 %.
        assert found.distance_km[row] == pytest.approx(km.min(), rel=0.006, abs=1e-6)


@given(st.floats(-90, 90), st.floats(-180, 180))
@settings(max_examples=50, deadline=None)
def test_a_turn_of_the_earth_and_a_walk_around_the_pole_change_nothing(latitude: float, longitude: float) -> None:
    found = gazetteer().lookup(np.array([[latitude, -180.0], [latitude, 180.0], [90.0, longitude], [90.0, 0.0]]))
    assert found.distance_km[0] == pytest.approx(found.distance_km[1])
    assert found.distance_km[2] == pytest.approx(found.distance_km[3])
    assert found.country[2] == found.country[3]


def test_known_places() -> None:
    paris, suva, ushuaia, pole, atlantic = gazetteer().named(
        [Place(48.8584, 2.2945), Place(-16.8, -179.99), Place(-54.8, -68.3), Place(-90, 0), Place(40, -40)]
    )
    assert (paris.state, paris.country, paris.continent) == ("Île-de-France", "France", "Europe")
    assert (suva.country, suva.continent) == ("Fiji", "Oceania"), "the nearest town lies across the antimeridian"
    assert (ushuaia.city, ushuaia.country, ushuaia.continent) == ("Ushuaia", "Argentina", "South America")
    assert (pole.names, pole.continent) == ((), "Antarctica")
    assert (atlantic.names, atlantic.continent) == ((), "")


def test_russia_lies_on_two_continents() -> None:
    west, ural, irkutsk, vladivostok, chukotka = gazetteer().named(
        [Place(55.75, 37.6), Place(58.0, 56.2), Place(52.3, 104.3), Place(43.1, 131.9), Place(65.6, -170.5)]
    )
    assert [west.continent, ural.continent] == ["Europe"] * 2
    assert [irkutsk.continent, vladivostok.continent, chukotka.continent] == ["Asia"] * 3


def test_every_settlement_has_a_country_and_a_continent() -> None:
    found = gazetteer().lookup(gazetteer().places)
    assert all(found.city)
    assert all(found.country)
    inhabited = set(found.continent[gazetteer().places[:, 0] > -49])  # GeoNames counts the islands there to Antarctica
    assert inhabited == {"Africa", "Asia", "Europe", "North America", "Oceania", "South America"}
    assert found.distance_km.max() < 1e-6
    assert (found.centre == gazetteer().places).all()


def test_names_are_given_as_far_as_they_are_likely() -> None:
    places = [Place(*place) for place in points().tolist()]
    found = gazetteer().lookup(points())
    for row, place in enumerate(gazetteer().named(places)):
        km = found.distance_km[row]
        if place.latitude >= -60:
            assert place.city == (found.city[row] if km <= CITY_WITHIN_KM else "")
            assert place.state == (found.state[row] if km <= STATE_WITHIN_KM else "")
            assert place.country == (found.country[row] if km <= COUNTRY_WITHIN_KM else "")
            assert bool(place.continent) == (km <= COUNTRY_WITHIN_KM)


def test_names_that_are_there_stay() -> None:
    given_, foreign = gazetteer().named([Place(48.8584, 2.2945, city="Paris"), Place(48.8584, 2.2945, country="Gaul")])
    assert given_ == Place(48.8584, 2.2945, "Paris", "Île-de-France", "France", "Europe")
    assert foreign == Place(48.8584, 2.2945, country="Gaul"), "a city of another country is not mixed in"
    assert gazetteer().named([given_]) == [given_]


def test_a_place_in_words() -> None:
    near, far = gazetteer().described([Place(52.5, 13.4), Place(40.0, -40.0)])
    assert near.endswith("Germany")
    distance, _, name = far.partition(" km from ")
    assert "Portugal" in name
    azores = gazetteer().lookup(np.array([[40.0, -40.0]]))
    assert float(distance.replace(",", "")) == round(azores.distance_km[0])


def test_far_from_everywhere_no_settlement_is_named() -> None:
    told = gazetteer().described([Place(-83.5, 10), Place(-60.5, -45), Place(-48.9, -123.4), Place(90, 0)])
    assert told == ["Antarctica"] * 2 + ["over 1,000 km from any settlement"] * 2
    assert gazetteer().described([Place(-83.5, 10, "McMurdo"), Place(52.5, 13.4, country="Prussia")])[0] == "McMurdo"


def test_unknown_points_have_no_names() -> None:
    found = gazetteer().lookup(np.array([[math.nan, 3.0], [48.8584, 2.2945], [math.nan, math.nan]]))
    assert [list(found.country), list(found.city == "")] == [["", "France", ""], [True, False, True]]
    assert np.isnan(found.distance_km).tolist() == [True, False, True]
    assert np.isnan(found.centre).any(1).tolist() == [True, False, True]


@pytest.mark.parametrize("wrong", [np.array([[91.0, 0.0]]), np.array([[0.0, 180.5]]), np.zeros((2, 3))])
def test_points_that_cannot_be_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"outside|shape"):
        gazetteer().lookup(wrong)


def test_one_point_is_no_table() -> None:
    with pytest.raises(ValueError, match=r"points must have shape \(N, 2\), not \(2,\)"):
        gazetteer().lookup(np.array([1.0, 2.0]))


def test_nothing_in_nothing_out() -> None:
    assert gazetteer().named([]) == []
    assert gazetteer().described([]) == []
    assert len(gazetteer().lookup(np.zeros((0, 2))).city) == 0


def test_it_is_loaded_once_and_travels() -> None:
    assert gazetteer() is gazetteer()
    travelled: Gazetteer = pickle.loads(pickle.dumps(gazetteer()))
    assert travelled.named([Place(1.0, 2.0)]) == gazetteer().named([Place(1.0, 2.0)])


def test_distances_are_geodesic() -> None:
    point = np.array([[21.0, -160.0]])
    nearest = haversine_km(point[0], gazetteer().places).argmin()
    km = geodesic_km(torch.from_numpy(point), torch.from_numpy(gazetteer().places[nearest : nearest + 1]))
    assert gazetteer().lookup(point).distance_km[0] == pytest.approx(km.item(), abs=1e-9)


def test_geonames_is_named() -> None:
    assert "GeoNames" in ATTRIBUTION
    assert "CC BY 4.0" in ATTRIBUTION
