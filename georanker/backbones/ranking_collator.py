"""Candidate lists become a batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from georanker.geodesy import geodesic_km
from georanker.types import CandidateList, ListCollator, Photo, RankingBatch


class RankingCollator(ListCollator):
    """Makes the fields of a RankingBatch that all backbones share; a backbone's own collator adds `inputs`."""

    def __call__(self, lists: Sequence[CandidateList]) -> RankingBatch:
        """Collate B lists, padded to the longest."""
        shape = (len(lists), max(map(len, lists)))
        places = np.full((*shape, 2), np.nan)
        scores = np.zeros(shape, np.float32)
        truth = np.full((len(lists), 2), np.nan)
        for row, found in enumerate(lists):
            places[row, : len(found)] = [(c.place.latitude, c.place.longitude) for c in found.candidates]
            scores[row, : len(found)] = [c.score for c in found.candidates]
            if found.photo.place:
                truth[row] = found.photo.place.latitude, found.photo.place.longitude
        mask = torch.arange(shape[1]) < torch.tensor([len(found) for found in lists])[:, None]
        return RankingBatch(
            photo_ids=tuple(found.photo.id for found in lists),
            places=torch.from_numpy(places),
            truth=torch.from_numpy(truth),
            distances_km=geodesic_km(torch.from_numpy(truth)[:, None], torch.from_numpy(places)),
            retrieval_scores=torch.from_numpy(scores),
            mask=mask,
            inputs=self.inputs(lists),
        )

    def inputs(self, lists: Sequence[CandidateList]) -> dict[str, Tensor]:
        """Return what one backbone needs beside the shared fields."""
        return {}

    def gallery_photos(self, found: CandidateList) -> list[Photo]:
        """Return the photos that `inputs` would read of a list, without the one that is asked about."""
        return []
