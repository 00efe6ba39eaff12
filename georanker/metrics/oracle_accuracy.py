"""What a perfect ranker would reach."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from georanker.metrics.base import ListMetric
from georanker.metrics.inputs import RADII_KM, checked_radii, cleaned_lists, within


def oracle_accuracy(scores: Tensor, distances_km: Tensor, mask: Tensor, radii_km: Sequence[float] = RADII_KM) -> Tensor:
    """Share of lists whose nearest candidate is nearer than each radius.

    Args:
        scores: (B, K), which the figure does not depend on.
        distances_km: (B, K) from the truth to each candidate.
        mask: (B, K) bool, True where a candidate is real.
        radii_km: R rising kilometres.

    Returns:
        (R,) in [0, 1], float64.

    >>> oracle_accuracy(torch.zeros(1, 2), torch.tensor([[90.0, 9.0]]), torch.ones(1, 2).bool(), radii_km=(1, 25))
    tensor([0., 1.], dtype=torch.float64)
    """
    _, km = cleaned_lists(scores, distances_km, mask)
    return within(km.amin(1), checked_radii(radii_km)).to(km).mean(0)


class OracleAccuracy(ListMetric):
    """Share of lists whose nearest candidate is nearer than each radius: the ceiling of any ranker.

    oracle(r) = |{i : min_j d_ij < r}| / N. An empty list is a miss.

    Args:
        radii_km: rising kilometres.

    Raises:
        ValueError: the radii are not positive or do not rise.

    Source: Jia et al., "GeoRanker", arXiv 2505.13731, whose case for ranking rests on it.

    >>> metric = OracleAccuracy(radii_km=(1, 25))
    >>> metric.update(torch.zeros(1, 2), torch.tensor([[90.0, 9.0]]), torch.ones(1, 2).bool())
    >>> metric.labels, metric.compute()
    (('oracle@1km', 'oracle@25km'), tensor([0., 1.], dtype=torch.float64))
    """

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    label = "oracle"
    best_hits: Tensor
    lists: Tensor

    def __init__(self, radii_km: Sequence[float] = RADII_KM) -> None:
        super().__init__()
        self.add_radii(radii_km)
        self.add_state("best_hits", torch.zeros(len(radii_km), dtype=torch.long), dist_reduce_fx="sum")
        self.add_state("lists", torch.tensor(0), dist_reduce_fx="sum")

    def accumulate(self, scores: Tensor, distances_km: Tensor) -> None:
        """Count the lists of a batch that hold a hit."""
        self.best_hits = self.best_hits + within(distances_km.amin(1), self.radii_km).sum(0)
        self.lists = self.lists + len(distances_km)

    def compute(self) -> Tensor:
        """Return (R,) shares; NaN before any list."""
        return self.best_hits.to(self.dtype) / self.lists
