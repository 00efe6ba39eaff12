from __future__ import annotations

import math

import pytest
import torch

from georanker.metrics import MedianError

NAN = math.nan


@pytest.mark.parametrize(
    ("longitudes", "expected"),
    [
        ([3.0, 1.0, 2.0], 2 * 111.3195),
        ([4.0, 1.0, 2.0, 3.0], 2.5 * 111.3195),
        ([1.0, NAN, 2.0], 2 * 111.3195),
        ([1.0, NAN], math.inf),
        ([1.0, NAN, NAN, NAN], math.inf),
    ],
)
def test_middle_of_the_errors(longitudes: list[float], expected: float) -> None:
    metric = MedianError()
    for longitude in longitudes:
        metric.update(torch.tensor([[0.0, longitude]]), torch.zeros(1, 2))
    assert metric.compute().item() == pytest.approx(expected, rel=1e-6)
