from __future__ import annotations

import math

import pytest
import torch

from georanker.metrics import PairwiseAccuracy

NAN = math.nan


@pytest.mark.parametrize(
    ("scores", "distances_km", "expected"),
    [
        ([3.0, 2.0, 1.0], [1.0, 2.0, 3.0], 1.0),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], 0.0),
        ([7.0, 7.0, 7.0], [1.0, 2.0, 3.0], 0.5),
        ([3.0, 1.0, 2.0], [1.0, 1.0, 3.0], 0.5),
        ([NAN, 1.0], [1.0, 2.0], 0.0),
        ([NAN, NAN], [1.0, 2.0], 0.5),
        ([-math.inf, NAN], [1.0, 2.0], 1.0),
        ([2.0, 1.0], [5.0, 5.0], NAN),
        ([2.0], [5.0], NAN),
    ],
)
def test_pairs_in_the_right_order(scores: list[float], distances_km: list[float], expected: float) -> None:
    metric = PairwiseAccuracy()
    metric.update(torch.tensor([scores]), torch.tensor([distances_km]), torch.ones(1, len(scores)).bool())
    assert metric.compute().item() == pytest.approx(expected, nan_ok=True)
