"""Distance that half of the answers stay within."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.utilities.data import dim_zero_cat

from georanker.metrics.base import PlaceMetric
from georanker.metrics.inputs import errors_km


def median_error(predicted: Tensor, truth: Tensor) -> Tensor:
    """Median distance from answer to truth.

    Args:
        predicted: (B, 2) degrees; NaN is a missing answer, infinitely far away.
        truth: (B, 2) degrees.

    Returns:
        () kilometres, float64; inf if half of the answers are missing, NaN without photos.

    >>> median_error(torch.tensor([[0.0, 1.0], [0.0, 2.0], [float("nan"), 0.0]]), torch.zeros(3, 2)).round()
    tensor(223., dtype=torch.float64)
    """
    return _median(errors_km(predicted, truth))


class MedianError(PlaceMetric):
    """Median distance from answer to truth in kilometres, the mean of the two in the middle if N is even.

    A missing answer is infinitely far away, so that the figure is inf once half of the answers are missing.
    It keeps 8 bytes a photo, since a median is no sum.

    Source: the usual sample median; the geodesic is Karney's, "Algorithms for geodesics", J. Geodesy 87 (2013).

    >>> metric = MedianError()
    >>> metric.update(torch.tensor([[0.0, 1.0]]), torch.zeros(1, 2))
    >>> metric.compute().round()
    tensor(111., dtype=torch.float64)
    """

    higher_is_better = False
    plot_lower_bound = 0.0
    label = "median_km"
    all_errors_km: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("all_errors_km", [], dist_reduce_fx="cat")

    def accumulate(self, errors_km: Tensor) -> None:
        """Keep the errors of a batch."""
        self.all_errors_km.append(errors_km)

    def compute(self) -> Tensor:
        """Return () kilometres; NaN before any photo."""
        if not len(self.all_errors_km):
            return torch.tensor(float("nan"), dtype=self.dtype, device=self.device)
        return _median(dim_zero_cat(self.all_errors_km))  # already one tensor after a sync of processes


def _median(km: Tensor) -> Tensor:
    if not len(km):
        return km.new_tensor(float("nan"))
    km = km.sort().values
    # torch.quantile would turn two infinite neighbours into NaN.
    return (km[(len(km) - 1) // 2] + km[len(km) // 2]) / 2
