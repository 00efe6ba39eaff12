"""Listwise: the scores, as a distribution over the list, should match one that falls with log distance."""

from __future__ import annotations

import torch
from torch import Tensor

from georanker.losses.base import RankingLoss, mean_over_lists, prepare, require_positive


class ListNet(RankingLoss):
    """Cross-entropy of top-one probabilities; use it where ratios of distances should shape the scores.

    The target of a candidate is proportional to 1 / (1 + d / scale_km): the softmax of the very scores that
    `DistanceRegression` asks for. Its tail is heavy, so far candidates keep an order among themselves.

    Args:
        scale_km: kilometres below which candidates count as equally near.

    Raises:
        ValueError: `scale_km` is not positive.

    Source: Z. Cao et al., "Learning to rank: from pairwise approach to listwise approach", ICML 2007.

    >>> ListNet()(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 9.0]]))
    tensor(0.6931)
    """

    def __init__(self, scale_km: float = 1.0) -> None:
        super().__init__()
        require_positive("scale_km", scale_km)
        self.scale_km = scale_km

    def forward(self, scores: Tensor, distances_km: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, see `RankingLoss.forward`."""
        return list_net(scores, distances_km, mask, scale_km=self.scale_km)


def list_net(scores: Tensor, distances_km: Tensor, mask: Tensor | None = None, *, scale_km: float = 1.0) -> Tensor:
    """Cross-entropy between the softmax of the scores and that of negative log distances.

    L = -Σ_i p_i log softmax(s)_i,  p = softmax(-log(1 + d / scale_km))

    Args:
        scores: (B, K), higher is nearer.
        distances_km: (B, K).
        mask: (B, K) bool, True where a candidate is real.
        scale_km: as in `ListNet`.

    Returns:
        A scalar.

    Raises:
        ValueError: as `RankingLoss.forward`.

    >>> list_net(torch.tensor([[5.0, 1.0]]).log(), torch.tensor([[1.0, 9.0]]))  # the minimum: targets 5/6, 1/6
    tensor(0.4506)
    """
    scores, distances_km, mask = prepare(scores, distances_km, mask)
    losses = soft_cross_entropy(scores, -torch.log1p(distances_km / scale_km), mask)
    return mean_over_lists(losses, distances_km, mask)


def soft_cross_entropy(scores: Tensor, relevance: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of softmax(scores) with softmax(relevance), for each list.

    Args:
        scores: (B, K), prepared.
        relevance: (B, K), higher is nearer.
        mask: (B, K) bool.

    Returns:
        (B,).
    """
    # The lowest finite number instead of -inf, which would make NaN of a list that is all padding.
    target = relevance.masked_fill(~mask, torch.finfo(relevance.dtype).min).softmax(-1).to(scores.dtype)
    log_probabilities = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).log_softmax(-1)
    return -torch.where(mask, target * log_probabilities, 0.0).sum(-1)
