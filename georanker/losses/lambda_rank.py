"""Pairwise: a pair counts by how much exchanging it would change the NDCG."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from georanker.losses.base import RankingLoss, mean_over_lists, nearer, prepare, require_positive


class LambdaRank(RankingLoss):
    """RankNet with pairs weighted by their effect on the NDCG; use it where that metric is the aim.

    The gain of a candidate is 1 / (1 + d / scale_km): it tells apart all of the benchmarks' radii, and never vanishes
    where every candidate is far.

    Args:
        scale_km: kilometres at which the gain is one half; the default is the benchmarks' radius of a city.
        sigma: steepness of the odds, as in RankNet.

    Raises:
        ValueError: an argument is not positive.

    Source: C. Burges, "From RankNet to LambdaRank to LambdaMART", MSR-TR-2010-82, as a loss in the sense of
    X. Wang et al., "The LambdaLoss framework for ranking metric optimization", CIKM 2018.

    >>> LambdaRank()(torch.tensor([[1.0, 2.0]]), torch.tensor([[5.0, 5000.0]]))
    tensor(0.4800)
    """

    def __init__(self, scale_km: float = 25.0, sigma: float = 1.0) -> None:
        super().__init__()
        require_positive("scale_km", scale_km)
        require_positive("sigma", sigma)
        self.scale_km = scale_km
        self.sigma = sigma

    def forward(self, scores: Tensor, distances_km: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, see `RankingLoss.forward`."""
        return lambda_rank(scores, distances_km, mask, scale_km=self.scale_km, sigma=self.sigma)


def lambda_rank(
    scores: Tensor,
    distances_km: Tensor,
    mask: Tensor | None = None,
    *,
    scale_km: float = 25.0,
    sigma: float = 1.0,
) -> Tensor:
    """Logistic loss of the pairs of the list, weighted by the change of NDCG if the two changed places.

    L = Σ_{(i,j): d_i < d_j} |ΔNDCG_ij| log(1 + exp(-σ (s_i - s_j)))
    |ΔNDCG_ij| = |g_i - g_j| |1 / log2(1 + r_i) - 1 / log2(1 + r_j)| / IDCG,  g = 1 / (1 + d / scale_km)

    with r the ranks by score, from 1. The weights carry no gradient.

    Args:
        scores: (B, K), higher is nearer.
        distances_km: (B, K).
        mask: (B, K) bool, True where a candidate is real.
        scale_km: as in `LambdaRank`.
        sigma: as in `LambdaRank`.

    Returns:
        A scalar.

    Raises:
        ValueError: as `RankingLoss.forward`.

    >>> lambda_rank(torch.tensor([[1.0, 2.0]]), torch.tensor([[5.0, 5000.0]]))
    tensor(0.4800)
    """
    scores, distances_km, mask = prepare(scores, distances_km, mask)
    weights = _ndcg_changes(scores.detach(), distances_km, mask, scale_km)
    gaps = scores[:, :, None] - scores[:, None, :]
    losses = torch.where(nearer(distances_km, mask), weights * F.softplus(-sigma * gaps), 0.0)
    return mean_over_lists(losses.sum((1, 2)), distances_km, mask)


def _ndcg_changes(scores: Tensor, distances_km: Tensor, mask: Tensor, scale_km: float) -> Tensor:
    """Return |ΔNDCG| of exchanging two candidates: (B, K, K)."""
    gains = (1 / (1 + distances_km / scale_km)).masked_fill(~mask, 0.0).to(scores.dtype)
    discounts = 1 / torch.log2(torch.arange(2, scores.shape[-1] + 2, device=scores.device, dtype=scores.dtype))
    order = scores.masked_fill(~mask, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    discount = discounts[order.argsort(dim=-1)]  # the inverse of a permutation: position -> rank
    ideal = (gains.sort(dim=-1, descending=True).values * discounts).sum(-1)
    change = (gains[:, :, None] - gains[:, None, :]) * (discount[:, :, None] - discount[:, None, :])
    return change.abs() / ideal.clamp(min=torch.finfo(ideal.dtype).tiny)[:, None, None]  # 0 in an empty list
