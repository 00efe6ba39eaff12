"""The baseline that looks at no photo."""

from __future__ import annotations

import torch
from torch import Tensor

from georanker.backbones.base import Backbone
from georanker.geodesy import haversine_km
from georanker.types import RankingBatch


class ConsensusBackbone(Backbone):
    """The score is how near the candidates lie: s_i = log Σ_j exp(-d_ij / scale), itself included.

    Candidates that agree on a region support each other. A ranker that does not beat this has learned nothing from the
    photos.

    Args:
        scale_km: how fast the support of a candidate fades with its distance; must be positive.
    """

    def __init__(self, scale_km: float = 300.0) -> None:
        super().__init__()
        if not scale_km > 0:
            raise ValueError(f"scale_km must be positive, not {scale_km:g}")
        self.scale_km = scale_km

    def forward(self, batch: RankingBatch) -> Tensor:
        """Return the support of each candidate, (B, K) float32."""
        places = batch.places.nan_to_num()
        support = -haversine_km(places[:, :, None], places[:, None]) / self.scale_km
        support = support.masked_fill(~batch.mask[:, None], float("-inf"))
        return torch.logsumexp(support, dim=-1).float()
