"""A small transformer over the candidates of a photo, which reads the retriever's vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from georanker.backbones.base import Backbone
from georanker.backbones.candidate_layer import CandidateLayer
from georanker.backbones.embedding_collator import EmbeddingCollator
from georanker.backbones.ranking_collator import RankingCollator
from georanker.encoders.fourier_location import FourierLocationEncoder
from georanker.geodesy import haversine_km
from georanker.types import GeorankerError, RankingBatch


class EmbeddingBackbone(Backbone):
    """Candidates look at the photo and at each other, and each gets a score.

    A candidate's token is a linear map of what the backbone sees of it; switch inputs off to learn what they are worth.
    There is no position along the list: its order is known only through the retrieval scores.

    Source: re-ranking from query, candidate and neighbour embeddings, as Pinpoint (2026) does.

    Args:
        embedding_dim: length D of the retriever's vectors.
        width: of the transformer.
        layers: of the transformer.
        heads: of its attention.
        dropout: in the transformer.
        sees_photos: the gallery's photo vectors, and their product with the query's.
        sees_location_embeddings: the retriever's vectors of the candidates' places, and their product with the query's.
        sees_places: fresh Fourier features of the candidates' places. They can memorise where the truths of the
            training lie; compare on places that were not seen.
        sees_scores: the retrieval scores.
        sees_distances: how far the candidates lie from each other, as a bias of the attention.
    """

    def __init__(
        self,
        embedding_dim: int = 128,
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
        sees_photos: bool = True,
        sees_location_embeddings: bool = True,
        sees_places: bool = False,
        sees_scores: bool = True,
        sees_distances: bool = True,
    ) -> None:
        super().__init__()
        self.sees_photos, self.sees_location_embeddings = sees_photos, sees_location_embeddings
        self.sees_places, self.sees_scores, self.sees_distances = sees_places, sees_scores, sees_distances
        self.heads = heads
        self.place_encoder = FourierLocationEncoder(width, hidden=2 * width) if sees_places else None
        seen = 2 * (sees_photos + sees_location_embeddings) * embedding_dim + sees_scores
        self.query = nn.Linear(embedding_dim, width)
        self.candidate = nn.Linear(seen, width) if seen else None
        bias = nn.Sequential(nn.Linear(4, 16), nn.GELU(), nn.Linear(16, heads))
        self.distance_bias = bias if sees_distances else None
        self.layers = nn.ModuleList(CandidateLayer(width, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 1)

    @property
    def collator(self) -> RankingCollator:
        """Adds the vectors of photos and candidates."""
        return EmbeddingCollator()

    def forward(self, batch: RankingBatch) -> Tensor:
        """Return (B, K) float32 scores.

        Raises:
            GeorankerError: the vectors of the batch are not `embedding_dim` long.
        """
        query = batch.inputs["query"][:, None]
        if query.shape[-1] != self.query.in_features:
            raise GeorankerError(
                f"the retriever's vectors have {query.shape[-1]} numbers: set the backbone's embedding_dim to that, "
                f"not to {self.query.in_features}"
            )
        query = _unit_variance(query)
        seen: list[Tensor] = []
        for name, sees in (("photos", self.sees_photos), ("locations", self.sees_location_embeddings)):
            if sees:
                vectors = _unit_variance(batch.inputs[name])
                seen += [vectors, vectors * query]
        if self.sees_scores:
            seen.append(_standardised(batch.retrieval_scores, batch.mask)[..., None])
        tokens = self.query(query).expand(-1, batch.mask.shape[1], -1)
        if self.candidate is not None:
            tokens = tokens + self.candidate(torch.cat(seen, dim=-1))
        if self.place_encoder is not None:
            tokens = tokens + self.place_encoder(batch.places.nan_to_num())
        bias = self._attention_bias(batch).to(tokens.dtype)
        for layer in self.layers:
            tokens = layer(tokens, bias)
        scores: Tensor = self.head(self.norm(tokens))
        return scores.squeeze(-1).float()

    def _attention_bias(self, batch: RankingBatch) -> Tensor:
        """Return (B, heads, K, K): what attention adds for each pair, and -inf for padding."""
        places = batch.places.nan_to_num().float()
        bias = torch.zeros(len(batch), self.heads, places.shape[1], places.shape[1], device=places.device)
        if self.distance_bias is not None:
            km = haversine_km(places[:, :, None], places[:, None])[..., None]
            scales = torch.tensor([50.0, 200.0, 750.0, 2500.0], device=km.device)
            bias = self.distance_bias((-km / scales).exp()).permute(0, 3, 1, 2)
        return bias.masked_fill(~batch.mask[:, None, None], float("-inf"))


def _unit_variance(vectors: Tensor) -> Tensor:
    """Scale vectors so that their numbers are about 1, since products of unit vectors are only about 1/D."""
    return nn.functional.normalize(vectors, dim=-1) * math.sqrt(vectors.shape[-1])


def _standardised(scores: Tensor, mask: Tensor) -> Tensor:
    """Bring the real scores of each list to mean 0 and deviation 1, and padding to 0."""
    count = mask.sum(1, keepdim=True).clamp(min=1)
    scores = scores.masked_fill(~mask, 0)
    centred = (scores - scores.sum(1, keepdim=True) / count).masked_fill(~mask, 0)
    return centred / (centred.square().sum(1, keepdim=True) / count).sqrt().clamp(min=1e-6)
