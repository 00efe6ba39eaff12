"""Candidate lists become a batch of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from georanker.backbones.ranking_collator import RankingCollator
from georanker.types import CandidateList, GeorankerError


class EmbeddingCollator(RankingCollator):
    """Adds the photos' vectors from their lists, and the candidates' from the memory-mapped gallery.

    Its inputs are `query` (B, D), `photos` (B, K, D) and `locations` (B, K, D), float32 and 0 where there is none.
    """

    def __init__(self) -> None:
        self._galleries: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def __getstate__(self) -> dict[str, object]:
        return {"_galleries": {}}  # memory maps stay behind, each process opens its own

    def inputs(self, lists: Sequence[CandidateList]) -> dict[str, Tensor]:
        """Return the vectors.

        Raises:
            GeorankerError: a list has no embedding or no gallery, or names a row that the gallery does not have.
        """
        count = max(map(len, lists))
        queries: list[np.ndarray] = []
        photos: list[np.ndarray] = []
        locations: list[np.ndarray] = []
        for found in lists:
            if found.embedding is None or not found.gallery:
                raise GeorankerError(
                    f"photo {found.photo.id}: its list has no embedding or names no gallery; "
                    "write the candidates file with `georanker retrieve`"
                )
            rows = np.array([-1 if c.gallery_row is None else c.gallery_row for c in found.candidates])
            for vectors, stored in zip((photos, locations), self._open(found.gallery), strict=True):
                if stored.shape[1:] != found.embedding.shape:
                    raise GeorankerError(
                        f"photo {found.photo.id}: its embedding has {found.embedding.size} numbers, but the vectors of "
                        f"gallery {found.gallery} have {stored.shape[-1]}; retrieve again"
                    )
                if rows.max() >= len(stored):
                    raise GeorankerError(
                        f"photo {found.photo.id}: gallery_row {rows.max()} is beyond the {len(stored)} rows of gallery "
                        f"{found.gallery}; retrieve again"
                    )
                taken = np.zeros((count, stored.shape[1]), np.float32)
                taken[: len(rows)] = np.where(rows[:, None] < 0, 0, stored[rows])
                vectors.append(taken)
            queries.append(found.embedding.astype(np.float32, copy=False))
        arrays = {"query": queries, "photos": photos, "locations": locations}
        return {name: torch.from_numpy(np.stack(array)) for name, array in arrays.items()}

    def _open(self, folder: str) -> tuple[np.ndarray, np.ndarray]:
        if folder not in self._galleries:
            try:
                photos, locations = (
                    np.load(Path(folder) / name, mmap_mode="r", allow_pickle=False)
                    for name in ("embeddings.npy", "location_embeddings.npy")
                )
            except Exception as error:  # as in Gallery.load
                raise GeorankerError(f"gallery {folder}: its vectors cannot be read ({error})") from error
            self._galleries[folder] = (photos, locations)
        return self._galleries[folder]
