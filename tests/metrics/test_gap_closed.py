from __future__ import annotations

import torch
from torch import Tensor

from georanker.metrics import GapClosed
from georanker.metrics.gap_closed import gap_closed

DISTANCES_KM = torch.tensor([[90.0, 9.0]])
RIGHT, WRONG = torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 1.0]])
REAL = torch.ones(1, 2).bool()


def closed(scores: Tensor, distances_km: Tensor, mask: Tensor = REAL) -> Tensor:
    return gap_closed(scores, distances_km, mask.expand_as(scores), radii_km=(25,))


def test_nothing_some_and_all_of_it() -> None:
    assert closed(WRONG, DISTANCES_KM).tolist() == [0.0]
    assert closed(torch.cat([WRONG, RIGHT]), DISTANCES_KM.expand(2, 2)).tolist() == [0.5]
    assert closed(RIGHT, DISTANCES_KM).tolist() == [1.0]


def test_a_ranker_that_does_harm_is_below_zero() -> None:
    distances_km = torch.tensor([[9.0, 90.0], [9.0, 90.0], [90.0, 9.0]])
    assert closed(torch.cat([RIGHT, RIGHT, WRONG]), distances_km).tolist() == [-2.0]


def test_nan_where_there_is_nothing_to_win_also_if_the_ranker_loses() -> None:
    assert closed(WRONG, DISTANCES_KM.flip(1)).isnan().all()
    assert closed(RIGHT, DISTANCES_KM.flip(1)).isnan().all()
    assert closed(RIGHT, DISTANCES_KM, ~REAL).isnan().all()


def test_totals_over_batches_not_means_of_batches() -> None:
    """Two batches whose own figures are NaN and 1 together make 1; a third at 0 makes a half."""
    metric = GapClosed(radii_km=(25,))
    metric.update(WRONG, DISTANCES_KM.flip(1), REAL)
    metric.update(RIGHT, DISTANCES_KM, REAL)
    assert metric.compute().tolist() == [1.0]
    metric.update(WRONG, DISTANCES_KM, REAL)
    assert metric.compute().tolist() == [0.5]
