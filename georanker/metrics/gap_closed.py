"""How much of what ranking can bring a ranker does bring."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from georanker.metrics.base import ListMetric
from georanker.metrics.inputs import RADII_KM, checked_radii, chosen_km, cleaned_lists, exact_type, retrieved_km, within


def gap_closed(scores: Tensor, distances_km: Tensor, mask: Tensor, radii_km: Sequence[float] = RADII_KM) -> Tensor:
    """Share of the way from the retriever's accuracy to the oracle's that the scores go, at each radius.

    Args:
        scores: (B, K), higher is nearer.
        distances_km: (B, K) from the truth to each candidate, the retriever's own choice first.
        mask: (B, K) bool, True where a candidate is real.
        radii_km: R rising kilometres.

    Returns:
        (R,) at most 1, negative where the scores do harm, NaN where the oracle equals the retriever; float64.

    >>> distances_km = torch.tensor([[90.0, 9.0], [90.0, 9.0]])
    >>> gap_closed(torch.tensor([[1.0, 2.0], [2.0, 1.0]]), distances_km, torch.ones(2, 2).bool(), radii_km=(25,))
    tensor([0.5000], dtype=torch.float64)
    """
    hits = _hits(*cleaned_lists(scores, distances_km, mask), checked_radii(radii_km))
    return _share(*hits.to(exact_type(hits.device)))


class GapClosed(ListMetric):
    """Share of the way from the retriever's accuracy to the oracle's that a ranker goes, at each radius.

    gap(r) = (ranked(r) - retrieved(r)) / (oracle(r) - retrieved(r)), from the totals over all lists, where
    retrieved counts the first candidate of a list, ranked the best-scored, and oracle the nearest one.
    1 is a perfect ranker, 0 no better than retrieval, NaN where there is nothing to win. An empty list is a miss
    for all three.

    Args:
        radii_km: rising kilometres.

    Raises:
        ValueError: the radii are not positive or do not rise.

    Source: the three figures are compared in Jia et al., "GeoRanker", arXiv 2505.13731; the ratio is ours.

    >>> metric = GapClosed(radii_km=(25,))
    >>> distances_km = torch.tensor([[90.0, 9.0], [90.0, 9.0]])
    >>> metric.update(torch.tensor([[1.0, 2.0], [2.0, 1.0]]), distances_km, torch.ones(2, 2).bool())
    >>> metric.compute()
    tensor([0.5000], dtype=torch.float64)
    """

    higher_is_better = True
    plot_upper_bound = 1.0
    label = "gap_closed"
    three_hits: Tensor

    def __init__(self, radii_km: Sequence[float] = RADII_KM) -> None:
        super().__init__()
        self.add_radii(radii_km)
        self.add_state("three_hits", torch.zeros(3, len(radii_km), dtype=torch.long), dist_reduce_fx="sum")

    def accumulate(self, scores: Tensor, distances_km: Tensor) -> None:
        """Count the hits of a batch."""
        self.three_hits = self.three_hits + _hits(scores, distances_km, self.radii_km)

    def compute(self) -> Tensor:
        """Return (R,) shares; NaN before any list."""
        return _share(*self.three_hits.to(self.dtype))


def _hits(scores: Tensor, distances_km: Tensor, radii_km: Tensor) -> Tensor:
    """(3, R) hits of the ranker, the retriever and the oracle."""
    rivals = (chosen_km(scores, distances_km), retrieved_km(distances_km), distances_km.amin(1))
    return torch.stack([within(km, radii_km).sum(0) for km in rivals])


def _share(ranked: Tensor, retrieved: Tensor, oracle: Tensor) -> Tensor:
    return ((ranked - retrieved) / (oracle - retrieved)).masked_fill(oracle == retrieved, float("nan"))
