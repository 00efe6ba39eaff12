"""Share of pairs of candidates in the right order."""

from __future__ import annotations

import torch
from torch import Tensor

from georanker.metrics.base import ListMetric
from georanker.metrics.inputs import cleaned_lists, exact_type


def pairwise_accuracy(scores: Tensor, distances_km: Tensor, mask: Tensor) -> Tensor:
    """Share of pairs of candidates of one list in which the nearer one has the higher score.

    Args:
        scores: (B, K), higher is nearer.
        distances_km: (B, K) from the truth to each candidate.
        mask: (B, K) bool, True where a candidate is real.

    Returns:
        () in [0, 1], float64; NaN without pairs.

    >>> pairwise_accuracy(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([[1.0, 5.0, 9.0]]), torch.ones(1, 3).bool())
    tensor(0.6667, dtype=torch.float64)
    """
    twice_right, pairs = _pairs(*cleaned_lists(scores, distances_km, mask))
    return twice_right.to(exact_type(pairs.device)) / (2 * pairs)


class PairwiseAccuracy(ListMetric):
    """Share of pairs of candidates of one list in which the nearer one has the higher score.

    accuracy = sum over pairs with d_i < d_j of ([s_i > s_j] + [s_i = s_j] / 2) / number of such pairs

    Pairs of equal distance are left out, and equal scores count half, so that a constant scorer gets 1/2. Pairs
    are counted over all lists together; a list of one candidate or none has none. In one list without ties it
    is (1 + Kendall's tau) / 2.

    Source: the concordance index of Harrell et al., "Evaluating the yield of medical tests", JAMA 247 (1982).

    >>> metric = PairwiseAccuracy()
    >>> metric.update(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([[1.0, 5.0, 9.0]]), torch.ones(1, 3).bool())
    >>> metric.compute()
    tensor(0.6667, dtype=torch.float64)
    """

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    label = "pairwise_accuracy"
    twice_right: Tensor
    pairs: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("twice_right", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("pairs", torch.tensor(0), dist_reduce_fx="sum")

    def accumulate(self, scores: Tensor, distances_km: Tensor) -> None:
        """Count the pairs of a batch."""
        twice_right, pairs = _pairs(scores, distances_km)
        self.twice_right = self.twice_right + twice_right
        self.pairs = self.pairs + pairs

    def compute(self) -> Tensor:
        """Return () share; NaN before any pair."""
        return self.twice_right.to(self.dtype) / (2 * self.pairs)


def _pairs(scores: Tensor, distances_km: Tensor) -> tuple[Tensor, Tensor]:
    """Twice the pairs in the right order, and the pairs; integers, so that sums over batches are exact."""
    nearer = distances_km[:, :, None] < distances_km[:, None, :]
    nearer &= distances_km.isfinite()[:, None, :]
    higher = scores[:, :, None] > scores[:, None, :]
    equal = scores[:, :, None] == scores[:, None, :]
    return 2 * (nearer & higher).sum() + (nearer & equal).sum(), nearer.sum()
