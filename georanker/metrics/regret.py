"""What a ranker's choice costs."""

from __future__ import annotations

import torch
from torch import Tensor

from georanker.metrics.base import ListMetric
from georanker.metrics.inputs import FARTHEST_KM, chosen_km, cleaned_lists


def regret(scores: Tensor, distances_km: Tensor, mask: Tensor) -> Tensor:
    """Mean kilometres by which the chosen candidate is farther than the best of its list.

    Args:
        scores: (B, K), higher is nearer.
        distances_km: (B, K) from the truth to each candidate.
        mask: (B, K) bool, True where a candidate is real.

    Returns:
        () kilometres, float64; NaN without lists.

    >>> regret(torch.tensor([[2.0, 1.0]]), torch.tensor([[90.0, 9.0]]), torch.ones(1, 2).bool())
    tensor(81., dtype=torch.float64)
    """
    return _regrets_km(*cleaned_lists(scores, distances_km, mask)).mean()


class Regret(ListMetric):
    """Mean kilometres by which the chosen candidate is farther than the best of its list; 0 is a perfect ranker.

    regret = mean_i (d_i,argmax s_i - min_j d_ij). An empty list, which cannot happen to a retriever that
    answers, costs 20,003.93 km, the longest geodesic.

    Source: simple regret, as bandits have it; Bubeck et al., "Pure exploration in multi-armed bandits", ALT 2009.

    >>> metric = Regret()
    >>> metric.update(torch.tensor([[2.0, 1.0]]), torch.tensor([[90.0, 9.0]]), torch.ones(1, 2).bool())
    >>> metric.compute()
    tensor(81., dtype=torch.float64)
    """

    higher_is_better = False
    plot_lower_bound = 0.0
    label = "regret_km"
    regret_km: Tensor
    choices: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("regret_km", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("choices", torch.tensor(0), dist_reduce_fx="sum")

    def accumulate(self, scores: Tensor, distances_km: Tensor) -> None:
        """Add the regrets of a batch."""
        self.regret_km = self.regret_km + _regrets_km(scores, distances_km).sum()
        self.choices = self.choices + len(scores)

    def compute(self) -> Tensor:
        """Return () kilometres; NaN before any list."""
        return self.regret_km / self.choices


def _regrets_km(scores: Tensor, distances_km: Tensor) -> Tensor:
    best = distances_km.amin(1)
    return (chosen_km(scores, distances_km) - best).masked_fill(best.isinf(), FARTHEST_KM)
