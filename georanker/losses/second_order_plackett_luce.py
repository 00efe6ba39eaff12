"""Listwise: differences of scores should be ordered as the differences of distances are."""

from __future__ import annotations

import torch
from torch import Tensor

from georanker.losses.base import RankingLoss, mean_over_lists, prepare, require_top
from georanker.losses.plackett_luce import nearest_first, negative_log_likelihood


class SecondOrderPlackettLuce(RankingLoss):
    """Likelihood of the order of score gaps; use it beside a first-order loss, to space the farther candidates.

    With `top=1`, the paper's setting, the nearest candidate's score is in every gap and cancels: the farther ones are
    ordered, farthest last, and the nearest gets no gradient.

    Args:
        top: gaps are taken from this many of the nearest candidates, at most the length of a list; None for all pairs,
            of which a list of n has n (n - 1) / 2.

    Raises:
        ValueError: `top` is less than 1.

    Source: L2 of GeoRanker, arXiv 2505.13731.

    >>> SecondOrderPlackettLuce()(torch.tensor([[7.0, 0.0, 0.0]]), torch.tensor([[1.0, 9.0, 50.0]]))  # log(2) / 2
    tensor(0.3466)
    """

    def __init__(self, top: int | None = 1) -> None:
        super().__init__()
        require_top("top", top)
        self.top = top
        self.ranks_nearest_first = top != 1

    def forward(self, scores: Tensor, distances_km: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, see `RankingLoss.forward`."""
        return second_order_plackett_luce(scores, distances_km, mask, top=self.top)


def second_order_plackett_luce(
    scores: Tensor, distances_km: Tensor, mask: Tensor | None = None, *, top: int | None = 1
) -> Tensor:
    """Plackett-Luce loss on the score gaps of pairs, the pair of the largest separation first.

    L = -1/m Σ_{p<m} [Δs_p - logsumexp_{q≥p} Δs_q]

    over the m pairs i < j, i < top, in the order by distance π, with gaps Δs = s_π(i) - s_π(j), sorted by
    Δd = d_π(i) - d_π(j) ascending.

    Args:
        scores: (B, K), higher is nearer.
        distances_km: (B, K); equal ones keep their order in the list, and equal Δd the order of their pairs.
        mask: (B, K) bool, True where a candidate is real; a pair exists only if both its members do.
        top: as in `SecondOrderPlackettLuce`.

    Returns:
        A scalar.

    Raises:
        ValueError: as `RankingLoss.forward`.

    >>> scores, distances_km = torch.tensor([[7.0, 1.0, 0.0]]), torch.tensor([[1.0, 9.0, 50.0]])
    >>> second_order_plackett_luce(scores, distances_km)  # gaps 7 and 6: log(1 + exp(-1)) / 2
    tensor(0.1566)
    """
    scores, distances_km, mask = nearest_first(*prepare(scores, distances_km, mask))
    gaps, valid = score_gaps(scores, distances_km, mask, top)
    return mean_over_lists(negative_log_likelihood(gaps, valid, None), distances_km, mask)


def score_gaps(scores: Tensor, distances_km: Tensor, mask: Tensor, top: int | None) -> tuple[Tensor, Tensor]:
    """Return the score gaps of pairs in the order of their distance gaps, the largest separation first.

    Args:
        scores: (B, K), nearest first.
        distances_km: (B, K), nearest first.
        mask: (B, K) bool, padding last.
        top: pairs whose nearer member is among this many, None for all.

    Returns:
        Gaps and which of them are of real pairs, (B, P) each, real ones first.
    """
    count = scores.shape[-1]
    rows = count if top is None else min(top, count)
    near, far = torch.triu_indices(rows, count, offset=1, device=scores.device)
    valid = mask[:, far]  # padding is last, so the nearer member is real whenever the farther one is
    distance_gaps = (distances_km[:, near] - distances_km[:, far]).masked_fill(~valid, torch.inf)
    order = distance_gaps.sort(dim=-1, stable=True).indices
    return scores.gather(-1, near[order]) - scores.gather(-1, far[order]), valid.gather(-1, order)
