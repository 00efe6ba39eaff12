from __future__ import annotations

import math

import torch

from georanker.geodesy import geodesic_km
from georanker.metrics import DistanceAccuracy

PREDICTED = torch.tensor([[0.0, 0.001], [0.0, 0.1], [0.0, 1.0], [0.0, 5.0], [0.0, 20.0], [math.nan, 0.0]])
TRUTH = torch.zeros(6, 2)


def test_one_answer_a_radius_and_one_missing() -> None:
    metric = DistanceAccuracy()
    metric.update(PREDICTED, TRUTH)
    torch.testing.assert_close(metric.compute(), torch.arange(1, 6).double() / 6)


def test_all_misses_first_then_hits() -> None:
    """Separate metrics in a collection once came out equal after such a batch."""
    metric = DistanceAccuracy()
    metric.update(torch.full((6, 2), math.nan), TRUTH)
    metric.update(PREDICTED, TRUTH)
    torch.testing.assert_close(metric.compute(), torch.arange(1, 6).double() / 12)


def test_a_missing_answer_does_not_shrink_the_denominator() -> None:
    metric = DistanceAccuracy(radii_km=(1,))
    metric.update(torch.tensor([[0.0, 0.0], [math.nan, math.nan]]), torch.zeros(2, 2))
    assert metric.compute().tolist() == [0.5]
    assert metric.photos == 2


def test_the_edge_of_a_radius_is_a_miss() -> None:
    radius = geodesic_km(PREDICTED[2], TRUTH[0]).item()
    metric = DistanceAccuracy(radii_km=(radius, math.nextafter(radius, math.inf)))
    metric.update(PREDICTED[2:3], TRUTH[:1])
    assert metric.compute().tolist() == [0.0, 1.0]


def test_names() -> None:
    metric = DistanceAccuracy(radii_km=(0.5, 25, 2500))
    assert metric.labels == ("acc@0.5km", "acc@25km", "acc@2500km")
    assert list(metric.named(torch.zeros(3))) == list(metric.labels)
