from __future__ import annotations

import math

import pytest
import torch

from georanker.geodesy import geodesic_km
from georanker.metrics import GeoScore


def test_perfect_far_and_missing_answers() -> None:
    metric = GeoScore()
    predicted, truth = torch.tensor([[0.0, 0.0], [0.0, 10.0], [math.nan, 0.0]]), torch.zeros(3, 2)
    metric.update(predicted, truth)
    far = 5000 * math.exp(-geodesic_km(predicted[1], truth[1]).item() / 1492.7)
    assert metric.compute().item() == pytest.approx((5000 + far + 0) / 3, rel=1e-12)
