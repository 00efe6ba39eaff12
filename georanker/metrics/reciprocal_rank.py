"""How high the nearest candidate ranks."""

from __future__ import annotations

import torch
from torch import Tensor

from georanker.metrics.base import ListMetric
from georanker.metrics.inputs import cleaned_lists


def reciprocal_rank(scores: Tensor, distances_km: Tensor, mask: Tensor) -> Tensor:
    """Mean of 1 / rank of the nearest candidate.

    Args:
        scores: (B, K), higher is nearer.
        distances_km: (B, K) from the truth to each candidate.
        mask: (B, K) bool, True where a candidate is real.

    Returns:
        () in [0, 1], float64; NaN without lists.

    >>> reciprocal_rank(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([[5.0, 9.0, 1.0]]), torch.ones(1, 3).bool())
    tensor(0.5000, dtype=torch.float64)
    """
    return _reciprocal_ranks(*cleaned_lists(scores, distances_km, mask)).mean()


class ReciprocalRank(ListMetric):
    """Mean of 1 / rank of the nearest candidate in the order of the scores: 1 if it is always chosen.

    MRR = mean_i 1 / rank_i. Of several equally near candidates the best ranked counts; an empty list counts 0.

    Source: Voorhees, "The TREC-8 Question Answering Track Report", 1999.

    >>> metric = ReciprocalRank()
    >>> metric.update(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([[5.0, 9.0, 1.0]]), torch.ones(1, 3).bool())
    >>> metric.compute()
    tensor(0.5000, dtype=torch.float64)
    """

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    label = "reciprocal_rank"
    reciprocal_ranks: Tensor
    ranked_lists: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("reciprocal_ranks", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("ranked_lists", torch.tensor(0), dist_reduce_fx="sum")

    def accumulate(self, scores: Tensor, distances_km: Tensor) -> None:
        """Add the ranks of a batch."""
        self.reciprocal_ranks = self.reciprocal_ranks + _reciprocal_ranks(scores, distances_km).sum()
        self.ranked_lists = self.ranked_lists + len(scores)

    def compute(self) -> Tensor:
        """Return () mean; NaN before any list."""
        return self.reciprocal_ranks / self.ranked_lists


def _reciprocal_ranks(scores: Tensor, distances_km: Tensor) -> Tensor:
    # A stable sort keeps the first of equal scores first; argmin then finds the best ranked of equal distances.
    ranked_km = distances_km.gather(1, scores.argsort(stable=True, dim=1, descending=True))
    ranks = ranked_km.argmin(1) + 1
    return ranks.to(distances_km).reciprocal().masked_fill(ranked_km.amin(1).isinf(), 0.0)
