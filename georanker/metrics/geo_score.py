"""The score of the game GeoGuessr."""

from __future__ import annotations

import torch
from torch import Tensor

from georanker.metrics.base import PlaceMetric
from georanker.metrics.inputs import errors_km


def geo_score(predicted: Tensor, truth: Tensor) -> Tensor:
    """Mean GeoGuessr score of the answers.

    Args:
        predicted: (B, 2) degrees; NaN is a missing answer, which scores 0.
        truth: (B, 2) degrees.

    Returns:
        () in [0, 5000], float64; NaN without photos.

    >>> geo_score(torch.tensor([[0.0, 0.0], [0.0, 9.0]]), torch.zeros(2, 2)).round()
    tensor(3778., dtype=torch.float64)
    """
    return _points(errors_km(predicted, truth)).mean()


class GeoScore(PlaceMetric):
    """Mean score of the answers in the game GeoGuessr: 5000 for a perfect one, 0 for a missing one.

    score = mean of 5000 exp(-d / 1492.7 km)

    Source: Haas et al., "PIGEON", CVPR 2024, who fitted the formula to the game; reported for OSV-5M.

    >>> metric = GeoScore()
    >>> metric.update(torch.tensor([[0.0, 0.0], [float("nan"), 0.0]]), torch.zeros(2, 2))
    >>> metric.compute()
    tensor(2500., dtype=torch.float64)
    """

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 5000.0
    label = "geo_score"
    points: Tensor
    rounds: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("points", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("rounds", torch.tensor(0), dist_reduce_fx="sum")

    def accumulate(self, errors_km: Tensor) -> None:
        """Add the points of a batch."""
        self.points = self.points + _points(errors_km).sum()
        self.rounds = self.rounds + len(errors_km)

    def compute(self) -> Tensor:
        """Return () mean points; NaN before any photo."""
        return self.points / self.rounds


def _points(errors_km: Tensor) -> Tensor:
    return 5000 * torch.exp(-errors_km / 1492.7)
