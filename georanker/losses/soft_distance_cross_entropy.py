"""Listwise: the scores, as a distribution over the list, should match one that falls with distance."""

from __future__ import annotations

from torch import Tensor

from georanker.losses.base import RankingLoss, mean_over_lists, prepare, require_positive
from georanker.losses.list_net import soft_cross_entropy


class SoftDistanceCrossEntropy(RankingLoss):
    """Cross-entropy with labels that are smoothed over distance; use it where near misses are nearly right.

    Candidates within a fraction of `temperature_km` of the nearest share the label with it; those several
    temperatures farther get none and no order among themselves.

    Args:
        temperature_km: kilometres over which the label falls by a factor of e. The default is the benchmarks' radius
            of a region; towards 0 the loss becomes cross-entropy on the nearest, `PlackettLuce(top=1)`.

    Raises:
        ValueError: `temperature_km` is not positive.

    Source: label smoothing over distance as in "PIGEON", arXiv 2307.05845, here over candidates instead of cells.

    >>> import torch
    >>> SoftDistanceCrossEntropy()(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 9.0]]))
    tensor(0.6931)
    """

    def __init__(self, temperature_km: float = 200.0) -> None:
        super().__init__()
        require_positive("temperature_km", temperature_km)
        self.temperature_km = temperature_km

    def forward(self, scores: Tensor, distances_km: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, see `RankingLoss.forward`."""
        return soft_distance_cross_entropy(scores, distances_km, mask, temperature_km=self.temperature_km)


def soft_distance_cross_entropy(
    scores: Tensor, distances_km: Tensor, mask: Tensor | None = None, *, temperature_km: float = 200.0
) -> Tensor:
    """Cross-entropy between the softmax of the scores and that of negative distances.

    L = -Σ_i p_i log softmax(s)_i,  p = softmax(-d / temperature_km)

    Args:
        scores: (B, K), higher is nearer.
        distances_km: (B, K).
        mask: (B, K) bool, True where a candidate is real.
        temperature_km: as in `SoftDistanceCrossEntropy`.

    Returns:
        A scalar.

    Raises:
        ValueError: as `RankingLoss.forward`.

    >>> import torch
    >>> soft_distance_cross_entropy(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 200.0]]))  # the minimum
    tensor(0.5822)
    """
    scores, distances_km, mask = prepare(scores, distances_km, mask)
    losses = soft_cross_entropy(scores, -distances_km / temperature_km, mask)
    return mean_over_lists(losses, distances_km, mask)
