"""Mean distance from answer to truth."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from georanker.metrics.base import PlaceMetric
from georanker.metrics.inputs import FARTHEST_KM, errors_km


def mean_error(predicted: Tensor, truth: Tensor, missing_km: float = FARTHEST_KM) -> Tensor:
    """Mean distance from answer to truth.

    Args:
        predicted: (B, 2) degrees; NaN is a missing answer.
        truth: (B, 2) degrees.
        missing_km: the error of a missing answer; by default the largest that an answer can have.

    Returns:
        () kilometres, float64; NaN without photos.

    >>> mean_error(torch.tensor([[0.0, 1.0], [0.0, 2.0]]), torch.zeros(2, 2)).round()
    tensor(167., dtype=torch.float64)
    """
    km = errors_km(predicted, truth)
    return km.masked_fill(km.isinf(), _checked(missing_km)).mean()


class MeanError(PlaceMetric):
    """Mean distance from answer to truth in kilometres.

    A missing answer counts as 20,003.93 km off, the longest geodesic of WGS84: no answer can be worse, and the
    figure stays finite, so that it can be compared.

    Args:
        missing_km: the error of a missing answer.

    Raises:
        ValueError: `missing_km` is negative or not finite.

    Source: reported for OSV-5M, Astruc et al., "OpenStreetView-5M", CVPR 2024 (there on a sphere).

    >>> metric = MeanError()
    >>> metric.update(torch.tensor([[0.0, 1.0], [float("nan"), 0.0]]), torch.zeros(2, 2))
    >>> metric.compute().round()
    tensor(10058., dtype=torch.float64)
    """

    higher_is_better = False
    plot_lower_bound = 0.0
    label = "mean_km"
    error_km: Tensor
    answered: Tensor
    missing: Tensor

    def __init__(self, missing_km: float = FARTHEST_KM) -> None:
        super().__init__()
        self.missing_km = _checked(missing_km)
        self.add_state("error_km", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        # Counted apart, so that the states do not depend on `missing_km` and may be shared.
        self.add_state("answered", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("missing", torch.tensor(0), dist_reduce_fx="sum")

    def accumulate(self, errors_km: Tensor) -> None:
        """Add the errors of a batch."""
        missing = errors_km.isinf()
        self.error_km = self.error_km + errors_km.masked_fill(missing, 0.0).sum()
        self.answered = self.answered + (~missing).sum()
        self.missing = self.missing + missing.sum()

    def compute(self) -> Tensor:
        """Return () kilometres; NaN before any photo."""
        return (self.error_km + self.missing.to(self.dtype) * self.missing_km) / (self.answered + self.missing)


def _checked(missing_km: float) -> float:
    if not 0 <= missing_km < math.inf:
        raise ValueError(f"missing_km must be finite kilometres, at least 0, not {missing_km}")
    return missing_km
