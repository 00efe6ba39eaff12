"""Share of answers within each radius."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from georanker.metrics.base import PlaceMetric
from georanker.metrics.inputs import RADII_KM, checked_radii, errors_km, within


def distance_accuracy(predicted: Tensor, truth: Tensor, radii_km: Sequence[float] = RADII_KM) -> Tensor:
    """Share of answers nearer to the truth than each radius.

    Args:
        predicted: (B, 2) degrees; NaN is a missing answer, and a miss.
        truth: (B, 2) degrees.
        radii_km: R rising kilometres.

    Returns:
        (R,) in [0, 1], float64.

    >>> distance_accuracy(torch.tensor([[0.0, 0.1], [0.0, 9.0]]), torch.zeros(2, 2))
    tensor([0.0000, 0.5000, 0.5000, 0.5000, 1.0000], dtype=torch.float64)
    """
    km = errors_km(predicted, truth)
    return within(km, checked_radii(radii_km)).to(km).mean(0)


class DistanceAccuracy(PlaceMetric):
    """Share of answers nearer to the truth than each radius, by the field's convention the headline figures.

    acc(r) = |{i : d(predicted_i, truth_i) < r}| / N, with d the WGS84 geodesic. A missing answer is a miss.

    Args:
        radii_km: rising kilometres; by default those of street, city, region, country and continent.

    Raises:
        ValueError: the radii are not positive or do not rise.

    Source: Hays and Efros, "IM2GPS", CVPR 2008; radii and `<` as in Jia et al., "GeoRanker", arXiv 2505.13731.

    >>> metric = DistanceAccuracy(radii_km=(25, 200))
    >>> metric.update(torch.tensor([[0.0, 0.1], [0.0, 1.0]]), torch.zeros(2, 2))
    >>> metric.named(metric.compute())["acc@25km"]
    tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    label = "acc"
    hits: Tensor
    photos: Tensor

    def __init__(self, radii_km: Sequence[float] = RADII_KM) -> None:
        super().__init__()
        self.add_radii(radii_km)
        self.add_state("hits", torch.zeros(len(radii_km), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("photos", torch.tensor(0), dist_reduce_fx="sum")

    def accumulate(self, errors_km: Tensor) -> None:
        """Count the hits of a batch."""
        self.hits = self.hits + within(errors_km, self.radii_km).sum(0)
        self.photos = self.photos + len(errors_km)

    def compute(self) -> Tensor:
        """Return (R,) shares; NaN before any photo."""
        return self.hits.to(self.dtype) / self.photos
