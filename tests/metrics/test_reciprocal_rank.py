from __future__ import annotations

import math

import pytest
import torch

from georanker.metrics import ReciprocalRank


@pytest.mark.parametrize(
    ("scores", "distances_km", "expected"),
    [
        ([3.0, 2.0, 1.0], [1.0, 5.0, 9.0], 1.0),
        ([3.0, 2.0, 1.0], [9.0, 5.0, 1.0], 1 / 3),
        ([-8.0, -7.0, -9.0], [1.0, 5.0, 9.0], 1 / 2),  # negative scores are as good as others
        ([4.0, 4.0, 4.0], [9.0, 1.0, 5.0], 1 / 2),  # of equal scores the first ranks first
        ([3.0, 2.0, 1.0], [5.0, 1.0, 1.0], 1 / 2),  # of equally near ones the best ranked counts
        ([math.nan, 2.0, 1.0], [1.0, 5.0, 9.0], 1 / 3),
    ],
)
def test_rank_of_the_nearest(scores: list[float], distances_km: list[float], expected: float) -> None:
    metric = ReciprocalRank()
    metric.update(torch.tensor([scores]), torch.tensor([distances_km]), torch.ones(1, 3).bool())
    assert metric.compute().item() == pytest.approx(expected)


def test_an_empty_list_scores_zero() -> None:
    metric = ReciprocalRank()
    real = torch.tensor([[True, True], [False, False]])
    metric.update(torch.zeros(2, 2), torch.ones(2, 2), real)
    assert metric.compute().item() == 0.5
