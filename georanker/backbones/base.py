"""The contract of backbones: what reads a photo's candidates and says how near each one is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from georanker.backbones.ranking_collator import RankingCollator
from georanker.types import RankingBatch


class Backbone(nn.Module, ABC):
    """Scores candidates; it knows neither the loss that trains it nor the metrics that judge it."""

    @property
    def collator(self) -> RankingCollator:
        """Makes the batches that `forward` reads; picklable, without weights."""
        return RankingCollator()

    @abstractmethod
    def forward(self, batch: RankingBatch) -> Tensor:
        """Return (B, K) float32 scores, higher is nearer; what stands in padding does not matter."""
