from __future__ import annotations

import math

import pytest
import torch

from georanker.metrics import Regret
from georanker.metrics.inputs import FARTHEST_KM


@pytest.mark.parametrize(
    ("scores", "mask", "expected"),
    [
        ([3.0, 2.0, 1.0], [True, True, True], 70.0),
        ([1.0, 2.0, 3.0], [True, True, True], 0.0),
        ([1.0, 1.0, 1.0], [True, True, True], 70.0),
        ([math.nan, 2.0, math.nan], [True, True, True], 10.0),
        ([3.0, 2.0, 1.0], [False, True, False], 0.0),
        ([3.0, 2.0, 1.0], [False, False, False], FARTHEST_KM),
    ],
)
def test_kilometres_above_the_best(scores: list[float], mask: list[bool], expected: float) -> None:
    metric = Regret()
    metric.update(torch.tensor([scores]), torch.tensor([[80.0, 20.0, 10.0]]), torch.tensor([mask]))
    assert metric.compute().item() == expected
