"""Listwise: GeoRanker's loss, the order of distances and the order of their differences."""

from __future__ import annotations

from torch import Tensor

from georanker.losses.base import RankingLoss, mean_over_lists, prepare, require_top
from georanker.losses.plackett_luce import nearest_first, negative_log_likelihood
from georanker.losses.second_order_plackett_luce import score_gaps


class MultiOrderDistance(RankingLoss):
    """First and second order Plackett-Luce, weighted; use it to train as the paper does.

    The defaults are the paper's. `top` cuts both orders, as its code does; `second_order_top` sets the second apart,
    as its text does, and beyond the list's length takes all pairs.

    Args:
        first_order_weight: λ, the share of the first order, 0 to 1.
        top: K1, how many of the nearest candidates the first order draws, at most the length of a list.
        second_order_top: K2, from how many of the nearest candidates gaps are taken; None for as many as `top`.

    Raises:
        ValueError: `first_order_weight` is outside [0, 1], or a number of candidates less than 1.

    Source: GeoRanker, "Distance-Aware Ranking for Worldwide Image Geolocalization", arXiv 2505.13731.

    >>> import torch
    >>> MultiOrderDistance()
    MultiOrderDistance(first_order_weight=0.7, top=1, second_order_top=None)
    >>> MultiOrderDistance()(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[1.0, 9.0, 50.0]]))
    tensor(0.3323)
    """

    def __init__(self, first_order_weight: float = 0.7, top: int = 1, second_order_top: int | None = None) -> None:
        super().__init__()
        if not 0 <= first_order_weight <= 1:
            raise ValueError(f"first_order_weight must be between 0 and 1, not {first_order_weight:g}")
        require_top("top", top)
        require_top("second_order_top", second_order_top)
        self.first_order_weight = first_order_weight
        self.top = top
        self.second_order_top = second_order_top
        self.ranks_nearest_first = first_order_weight > 0 or (second_order_top or top) > 1

    def forward(self, scores: Tensor, distances_km: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, see `RankingLoss.forward`."""
        return multi_order_distance(
            scores,
            distances_km,
            mask,
            first_order_weight=self.first_order_weight,
            top=self.top,
            second_order_top=self.second_order_top,
        )


def multi_order_distance(
    scores: Tensor,
    distances_km: Tensor,
    mask: Tensor | None = None,
    *,
    first_order_weight: float = 0.7,
    top: int = 1,
    second_order_top: int | None = None,
) -> Tensor:
    """Weighted sum of the Plackett-Luce losses of scores and of score gaps.

    L = λ L1 + (1 - λ) L2, with L1 as in `plackett_luce` and L2 as in `second_order_plackett_luce`

    Args:
        scores: (B, K), higher is nearer.
        distances_km: (B, K); equal ones keep their order in the list.
        mask: (B, K) bool, True where a candidate is real.
        first_order_weight: as in `MultiOrderDistance`.
        top: as in `MultiOrderDistance`.
        second_order_top: as in `MultiOrderDistance`.

    Returns:
        A scalar.

    Raises:
        ValueError: as `RankingLoss.forward`.

    >>> import torch
    >>> multi_order_distance(torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[1.0, 9.0, 50.0]]))
    tensor(0.3323)
    """
    scores, distances_km, mask = nearest_first(*prepare(scores, distances_km, mask))
    first = negative_log_likelihood(scores, mask, top)
    gaps, valid = score_gaps(scores, distances_km, mask, second_order_top or top)
    second = negative_log_likelihood(gaps, valid, None)
    losses = first_order_weight * first + (1 - first_order_weight) * second
    return mean_over_lists(losses, distances_km, mask)
