"""Pointwise: the score is a distance on a logarithmic scale."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from georanker.losses.base import RankingLoss, masked_mean, mean_over_lists, prepare, require_positive


class DistanceRegression(RankingLoss):
    """Regress each score on the candidate's distance; use it where scores must be readable as kilometres.

    A score s then says d = scale_km (exp(-s) - 1). Ranking is a by-product: each candidate is judged alone, and far
    candidates count as much as the nearest.

    Args:
        scale_km: kilometres; differences well below it hardly count, above it ratios of distances count.
        delta: where the Huber loss turns from squared to absolute, in units of the score.

    Raises:
        ValueError: an argument is not positive.

    Source: P. J. Huber, "Robust estimation of a location parameter", Ann. Math. Statist. 35 (1964).

    >>> DistanceRegression(scale_km=1.0)(torch.tensor([[0.0, -0.5]]), torch.tensor([[0.0, 0.0]]))
    tensor(0.)
    >>> DistanceRegression(scale_km=1.0)(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    tensor(0.1201)
    """

    shift_invariant = False

    def __init__(self, scale_km: float = 1.0, delta: float = 1.0) -> None:
        super().__init__()
        require_positive("scale_km", scale_km)
        require_positive("delta", delta)
        self.scale_km = scale_km
        self.delta = delta

    def forward(self, scores: Tensor, distances_km: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, see `RankingLoss.forward`."""
        return distance_regression(scores, distances_km, mask, scale_km=self.scale_km, delta=self.delta)


def distance_regression(
    scores: Tensor,
    distances_km: Tensor,
    mask: Tensor | None = None,
    *,
    scale_km: float = 1.0,
    delta: float = 1.0,
) -> Tensor:
    """Huber loss between scores and negative log distances, averaged over the list.

    L = 1/n Σ_i huber_δ(s_i + log(1 + d_i / scale_km))

    Args:
        scores: (B, K), higher is nearer.
        distances_km: (B, K).
        mask: (B, K) bool, True where a candidate is real.
        scale_km: as in `DistanceRegression`.
        delta: as in `DistanceRegression`.

    Returns:
        A scalar.

    Raises:
        ValueError: as `RankingLoss.forward`.

    >>> distance_regression(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    tensor(0.1201)
    """
    scores, distances_km, mask = prepare(scores, distances_km, mask)
    target = -torch.log1p(distances_km / scale_km).to(scores.dtype)
    losses = F.huber_loss(scores, target, reduction="none", delta=delta)
    return mean_over_lists(masked_mean(losses, mask), distances_km, mask)
