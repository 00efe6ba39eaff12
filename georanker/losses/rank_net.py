"""Pairwise: the nearer of two candidates should win, with logistic odds."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from georanker.losses.base import RankingLoss, masked_mean, mean_over_lists, nearer, prepare, require_positive


class RankNet(RankingLoss):
    """Logistic loss on every pair; use it where the whole order matters, not only the first place.

    Args:
        sigma: steepness of the odds; a gap of 1 / sigma in the scores means odds of e to 1.

    Raises:
        ValueError: `sigma` is not positive.

    Source: C. Burges et al., "Learning to rank using gradient descent", ICML 2005.

    >>> import torch
    >>> RankNet()(torch.tensor([[1.0, 1.0, 1.0]]), torch.tensor([[5.0, 90.0, 800.0]]))
    tensor(0.6931)
    """

    def __init__(self, sigma: float = 1.0) -> None:
        super().__init__()
        require_positive("sigma", sigma)
        self.sigma = sigma

    def forward(self, scores: Tensor, distances_km: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, see `RankingLoss.forward`."""
        return rank_net(scores, distances_km, mask, sigma=self.sigma)


def rank_net(scores: Tensor, distances_km: Tensor, mask: Tensor | None = None, *, sigma: float = 1.0) -> Tensor:
    """Negative log probability that the nearer candidate wins, averaged over the pairs of the list.

    L = 1/|P| Σ_{(i,j) ∈ P} log(1 + exp(-σ (s_i - s_j))),  P = {(i, j): d_i < d_j}

    Args:
        scores: (B, K), higher is nearer.
        distances_km: (B, K).
        mask: (B, K) bool, True where a candidate is real.
        sigma: as in `RankNet`.

    Returns:
        A scalar.

    Raises:
        ValueError: as `RankingLoss.forward`.

    >>> import torch
    >>> rank_net(torch.tensor([[2.0, 1.0]]), torch.tensor([[5.0, 90.0]]))
    tensor(0.3133)
    """
    scores, distances_km, mask = prepare(scores, distances_km, mask)
    gaps = scores[:, :, None] - scores[:, None, :]
    losses = masked_mean(F.softplus(-sigma * gaps), nearer(distances_km, mask))
    return mean_over_lists(losses, distances_km, mask)
