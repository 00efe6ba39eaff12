"""Pairwise: the nearer of two candidates should win by a margin."""

from __future__ import annotations

from torch import Tensor

from georanker.losses.base import RankingLoss, masked_mean, mean_over_lists, nearer, prepare, require_positive


class MarginRanking(RankingLoss):
    """Hinge loss on every pair; use it where pairs that are right by a margin should be left alone.

    Args:
        margin: by how much the nearer candidate's score should be higher.

    Raises:
        ValueError: `margin` is not positive.

    Source: R. Herbrich, T. Graepel, K. Obermayer, "Large margin rank boundaries for ordinal regression", 2000.

    >>> import torch
    >>> MarginRanking()(torch.tensor([[3.0, 2.0, 0.0]]), torch.tensor([[5.0, 90.0, 800.0]]))
    tensor(0.)
    """

    def __init__(self, margin: float = 1.0) -> None:
        super().__init__()
        require_positive("margin", margin)
        self.margin = margin

    def forward(self, scores: Tensor, distances_km: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, see `RankingLoss.forward`."""
        return margin_ranking(scores, distances_km, mask, margin=self.margin)


def margin_ranking(scores: Tensor, distances_km: Tensor, mask: Tensor | None = None, *, margin: float = 1.0) -> Tensor:
    """By how much the margin is missed, averaged over the pairs of the list.

    L = 1/|P| Σ_{(i,j) ∈ P} max(0, margin - (s_i - s_j)),  P = {(i, j): d_i < d_j}

    Args:
        scores: (B, K), higher is nearer.
        distances_km: (B, K).
        mask: (B, K) bool, True where a candidate is real.
        margin: as in `MarginRanking`.

    Returns:
        A scalar.

    Raises:
        ValueError: as `RankingLoss.forward`.

    >>> import torch
    >>> margin_ranking(torch.tensor([[0.5, 0.25]]), torch.tensor([[5.0, 90.0]]))
    tensor(0.7500)
    """
    scores, distances_km, mask = prepare(scores, distances_km, mask)
    gaps = scores[:, :, None] - scores[:, None, :]
    losses = masked_mean((margin - gaps).clamp(min=0), nearer(distances_km, mask))
    return mean_over_lists(losses, distances_km, mask)
