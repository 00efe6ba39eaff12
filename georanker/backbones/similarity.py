"""The baseline that leaves the retriever's order as it is."""

from __future__ import annotations

from torch import Tensor

from georanker.backbones.base import Backbone
from georanker.types import RankingBatch


class SimilarityBackbone(Backbone):
    """The score is the retrieval score itself: what a ranker has to beat."""

    def forward(self, batch: RankingBatch) -> Tensor:
        """Return the retrieval scores, (B, K) float32."""
        return batch.retrieval_scores.float()
