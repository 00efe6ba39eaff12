"""Several losses as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from georanker.losses.base import RankingLoss, require_positive
from georanker.losses.plackett_luce import PlackettLuce
from georanker.losses.second_order_plackett_luce import SecondOrderPlackettLuce


class WeightedSum(RankingLoss):
    """Several losses on the same scores, added by weight; use it to combine what single losses see.

    Args:
        terms: pairs of a loss and its weight. Without them they are the two orders of `MultiOrderDistance`: 0.7 of
            `PlackettLuce(top=1)` and 0.3 of `SecondOrderPlackettLuce(top=1)`.

    Raises:
        ValueError: there is no term, or a weight is not positive.

    Source: the default is the objective of GeoRanker, arXiv 2505.13731.

    >>> WeightedSum()(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[1.0, 9.0, 50.0]]))
    tensor(0.3323)
    """

    def __init__(self, terms: Sequence[tuple[RankingLoss, float]] | None = None) -> None:
        super().__init__()
        checked = _checked(terms)
        self.losses = nn.ModuleList([loss for loss, _ in checked])
        self.weights = tuple(weight for _, weight in checked)
        self.shift_invariant = all(loss.shift_invariant for loss, _ in checked)
        self.ranks_nearest_first = any(loss.ranks_nearest_first for loss, _ in checked)

    @property
    def terms(self) -> list[tuple[RankingLoss, float]]:
        """The losses and their weights."""
        return [(cast(RankingLoss, loss), w) for loss, w in zip(self.losses, self.weights, strict=True)]

    def forward(self, scores: Tensor, distances_km: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, see `RankingLoss.forward`."""
        return weighted_sum(scores, distances_km, mask, terms=self.terms)

    def extra_repr(self) -> str:
        """Show the weights above the losses when the sum is printed."""
        return f"weights={self.weights}"


def weighted_sum(
    scores: Tensor,
    distances_km: Tensor,
    mask: Tensor | None = None,
    *,
    terms: Sequence[tuple[RankingLoss, float]] | None = None,
) -> Tensor:
    """Sum of losses by weight.

    L = Σ_t w_t L_t

    Args:
        scores: (B, K), higher is nearer.
        distances_km: (B, K).
        mask: (B, K) bool, True where a candidate is real.
        terms: as in `WeightedSum`.

    Returns:
        A scalar.

    Raises:
        ValueError: as `RankingLoss.forward` and `WeightedSum`.

    >>> terms = [(PlackettLuce(), 2.0), (PlackettLuce(), 1.0)]
    >>> weighted_sum(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 9.0]]), terms=terms) / PlackettLuce()(
    ...     torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 9.0]])
    ... )
    tensor(3.)
    """
    return torch.stack([weight * loss(scores, distances_km, mask) for loss, weight in _checked(terms)]).sum()


def _checked(terms: Sequence[tuple[RankingLoss, float]] | None) -> Sequence[tuple[RankingLoss, float]]:
    if terms is None:
        return [(PlackettLuce(top=1), 0.7), (SecondOrderPlackettLuce(top=1), 0.3)]
    if not terms:
        raise ValueError("terms is empty: give at least one loss with its weight")
    for index, (_, weight) in enumerate(terms):
        require_positive(f"the weight of terms[{index}]", weight)
    return terms
