"""Pointwise: the score is the log-odds of a soft relevance."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from georanker.losses.base import RankingLoss, masked_mean, mean_over_lists, prepare, require_positive


class RelevanceBCE(RankingLoss):
    """Cross-entropy of each score with a relevance in [0, 1]; use it where a score must be readable by itself.

    sigmoid(score) then estimates the candidate's share of a full GeoScore, comparable between photos, so that a
    threshold on it can say "none of these places".

    Args:
        temperature_km: kilometres over which the relevance falls by a factor of e. The default is that of GeoScore,
            5000 exp(-d / 1492.7), the field's convention.

    Raises:
        ValueError: `temperature_km` is not positive.

    Source: GeoScore as in "OpenStreetView-5M", arXiv 2404.18873.

    >>> RelevanceBCE()(torch.tensor([[9.0, -9.0]]), torch.tensor([[0.0, 20_000.0]])).round(decimals=3)
    tensor(0.)
    """

    shift_invariant = False

    def __init__(self, temperature_km: float = 1492.7) -> None:
        super().__init__()
        require_positive("temperature_km", temperature_km)
        self.temperature_km = temperature_km

    def forward(self, scores: Tensor, distances_km: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, see `RankingLoss.forward`."""
        return relevance_bce(scores, distances_km, mask, temperature_km=self.temperature_km)


def relevance_bce(
    scores: Tensor, distances_km: Tensor, mask: Tensor | None = None, *, temperature_km: float = 1492.7
) -> Tensor:
    """Binary cross-entropy with a soft target, averaged over the list.

    L = -1/n Σ_i [r_i log σ(s_i) + (1 - r_i) log σ(-s_i)],  r_i = exp(-d_i / temperature_km)

    Args:
        scores: (B, K) log-odds, higher is nearer.
        distances_km: (B, K).
        mask: (B, K) bool, True where a candidate is real.
        temperature_km: as in `RelevanceBCE`.

    Returns:
        A scalar.

    Raises:
        ValueError: as `RankingLoss.forward`.

    >>> relevance_bce(torch.tensor([[0.0, 0.0]]), torch.tensor([[10.0, 500.0]]))
    tensor(0.6931)
    """
    scores, distances_km, mask = prepare(scores, distances_km, mask)
    target = torch.exp(-distances_km / temperature_km).to(scores.dtype)
    losses = F.binary_cross_entropy_with_logits(scores, target, reduction="none")
    return mean_over_lists(masked_mean(losses, mask), distances_km, mask)
