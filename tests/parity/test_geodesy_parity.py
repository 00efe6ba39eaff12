"""Distances against independent work: geopy's geodesic, and haversines of Python's own floats."""

from __future__ import annotations

import math
import random

import pytest
import torch
from geopy.distance import geodesic

from georanker.geodesy import EARTH_RADIUS_KM, geodesic_km, haversine_km

Pair = tuple[tuple[float, float], tuple[float, float]]


def random_pairs(count: int) -> list[Pair]:
    dice = random.Random(0)

    def place() -> tuple[float, float]:
        return math.degrees(math.asin(dice.uniform(-1, 1))), dice.uniform(-180, 180)

    return [(place(), place()) for _ in range(count)]


def nasty_pairs() -> list[Pair]:
    """Identical places, neighbours, antipodes and nearly so, poles, both sides of the antimeridian."""
    pairs: list[Pair] = []
    for latitude in (0.0, 1e-9, 0.5, 45.0, -33.3, 89.999999, 90.0, -90.0):
        for longitude in (0.0, 12.5, -180.0, 180.0):
            here = (latitude, longitude)
            opposite = (-latitude, longitude - 180 if longitude > 0 else longitude + 180)
            pairs += [(here, here), (here, opposite), (here, (latitude, -longitude)), (here, (90.0, 0.0))]
            for step in (1e-9, 1e-4, 0.5):
                inward = -step if latitude > 0 else step
                pairs += [
                    (here, (latitude + inward, longitude)),
                    (here, (opposite[0] - inward, opposite[1])),
                    ((latitude, 180 - step), (latitude, step - 180)),
                    ((0.0, 0.0), (0.0, 180 - step)),
                ]
    return pairs


@pytest.mark.parametrize("pairs", [random_pairs(2000), nasty_pairs()], ids=["random", "nasty"])
def test_geodesic_equals_geopy(pairs: list[Pair]) -> None:
    expected = torch.tensor([geodesic(a, b).km for a, b in pairs], dtype=torch.float64)
    places = torch.tensor(pairs, dtype=torch.float64)
    torch.testing.assert_close(geodesic_km(places[:, 0], places[:, 1]), expected, rtol=0, atol=1e-6)


def plain_haversine_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    (lat_a, lon_a), (lat_b, lon_b) = (tuple(map(math.radians, place)) for place in (a, b))
    h = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, h)))


def test_haversine_equals_the_textbook() -> None:
    pairs = random_pairs(5000)
    expected = torch.tensor([plain_haversine_km(a, b) for a, b in pairs], dtype=torch.float64)
    places = torch.tensor(pairs, dtype=torch.float64)
    torch.testing.assert_close(haversine_km(places[:, 0], places[:, 1]), expected, rtol=1e-12, atol=1e-9)


def test_haversine_equals_the_textbook_where_that_is_weak() -> None:
    """The textbook's arcsine loses half of its digits at antipodes: a metre is all that it can tell."""
    pairs = nasty_pairs()
    expected = torch.tensor([plain_haversine_km(a, b) for a, b in pairs], dtype=torch.float64)
    places = torch.tensor(pairs, dtype=torch.float64)
    torch.testing.assert_close(haversine_km(places[:, 0], places[:, 1]), expected, rtol=0, atol=1e-3)


def test_haversine_slope_equals_differences_of_the_textbook() -> None:
    step = 1e-5
    for a, b in random_pairs(200):
        place = torch.tensor(a, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(haversine_km(place, torch.tensor(b, dtype=torch.float64)), place)
        north = plain_haversine_km((a[0] + step, a[1]), b) - plain_haversine_km((a[0] - step, a[1]), b)
        east = plain_haversine_km((a[0], a[1] + step), b) - plain_haversine_km((a[0], a[1] - step), b)
        assert slope.tolist() == pytest.approx([north / (2 * step), east / (2 * step)], abs=2e-3)
