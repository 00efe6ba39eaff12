"""The nearest photos of a gallery, without the photo itself and what is too like it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from georanker.retrievers.gallery import Gallery
from georanker.stores.names import spelling_key
from georanker.training_lists.related import Related
from georanker.types import CandidateList, GeorankerError, Photo

SAME, ALIKE, RELATED = "the photo itself", "too like it", "related to it"
_FIXES = {ALIKE: "set a higher duplicate_cosine", RELATED: "name fewer related_columns"}
_SPARE = 32
"""Rows that are asked for beyond `top_k`, since some will be left out."""
_MORE = 8
"""So many times more are asked for where those were not enough."""


class DistinctNeighbours:
    """Finds the `top_k` nearest photos of a gallery that may be shown as candidates for a photo.

    Nearest is meant by the inner product Σ q_i g_i in float64; on a tie the earlier row comes first. The gallery's own
    search, whose float32 sums differ in their last bits between batches and machines, only proposes rows, and as many
    as it takes to be sure. So the result depends on nothing but the vectors.

    Left out are photos of the same id (its suffix does not count, nor whether folders end with / or _), those whose
    cosine with the photo is at least `duplicate_cosine`, and those that are related to it.

    Args:
        gallery: where to look.
        top_k: candidates of each photo; fewer if the gallery has no more.
        duplicate_cosine: in (-1, 1]; two vectors of the same pixels have 1 but for rounding. None leaves out nothing.
        related: who took the photos; None where that does not matter.

    Raises:
        GeorankerError: `top_k` is below 1, the cosine is out of range, or nothing related to the gallery is known.
    """

    def __init__(
        self, gallery: Gallery, top_k: int, duplicate_cosine: float | None = 0.9999, related: Related | None = None
    ) -> None:
        if top_k < 1:
            raise GeorankerError(f"top_k must be at least 1, not {top_k}")
        if duplicate_cosine is not None and not -1 < duplicate_cosine <= 1:
            raise GeorankerError(f"duplicate_cosine must be above -1 and at most 1, not {duplicate_cosine:g}")
        self.gallery, self.top_k, self.duplicate_cosine, self.related = gallery, top_k, duplicate_cosine, related
        if related is not None:
            ids = gallery.photo_ids
            related.check(related.known(ids), len(ids), ids[0], "photos of the gallery")
        self.left_out: Counter[str] = Counter()
        """How many were left out that would have been candidates, by the reason."""

    def of(self, photos: Sequence[Photo], vectors: np.ndarray) -> list[CandidateList]:
        """Return the candidates of each photo, nearest first.

        Args:
            photos: B photos.
            vectors: (B, D) float32, in the gallery's space.

        Raises:
            GeorankerError: nothing of the gallery is left for a photo, or a vector is not finite.
        """
        proposed = self.gallery.search(photos, vectors, self.top_k + _SPARE)
        return [self._chosen(found, vector) for found, vector in zip(proposed, vectors, strict=True)]

    def _chosen(self, found: CandidateList, vector: np.ndarray) -> CandidateList:
        query = vector.astype(np.float64)
        while True:
            rows = np.array([candidate.gallery_row for candidate in found.candidates])
            vectors = self.gallery.embeddings[rows].astype(np.float64)
            scores, lengths = (vectors * query).sum(1), np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
            kept, reasons = self._kept(found, np.lexsort((rows, -scores)), scores / np.maximum(lengths, 1e-30))
            # What was not proposed may score as much as the worst that was, and the rounding of a sum of D products.
            bound = min(candidate.score for candidate in found.candidates) + len(query) * 2.0**-22 * lengths.max()
            if len(found) == len(self.gallery) or (len(kept) == self.top_k and scores[kept[-1]] > bound):
                break
            (found,) = self.gallery.search([found.photo], vector[None], _MORE * len(found))
        self.left_out += reasons
        if not kept:
            told = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
            fixes = " or ".join([*(_FIXES[reason] for reason in _FIXES if reason in reasons), "take a larger gallery"])
            raise GeorankerError(f"photo {found.photo.id}: nothing of the gallery is left for it ({told}); {fixes}")
        return replace(
            found, candidates=tuple(replace(found.candidates[at], score=float(np.float32(scores[at]))) for at in kept)
        )

    def _kept(self, found: CandidateList, order: np.ndarray, cosines: np.ndarray) -> tuple[list[int], Counter[str]]:
        """Return the first `top_k` that may stay, and how many before them may not."""
        key = _key(found.photo.id)
        ids = [candidate.photo.id if candidate.photo else "" for candidate in found.candidates]
        related = np.zeros(len(ids), bool)
        if self.related is not None:
            groups = self.related.groups([found.photo.id, *ids])
            related = ((groups[1:] == groups[0]) & (groups[0] != 0)).any(1)
        kept: list[int] = []
        reasons: Counter[str] = Counter()
        for at in order.tolist():
            if _key(ids[at]) == key:
                reasons[SAME] += 1
            elif self.duplicate_cosine is not None and cosines[at] >= self.duplicate_cosine:
                reasons[ALIKE] += 1
            elif related[at]:
                reasons[RELATED] += 1
            else:
                kept.append(at)
                if len(kept) == self.top_k:
                    break
        return kept, reasons


def _key(photo_id: str) -> bytes:
    return spelling_key(photo_id.encode("utf-8", "surrogateescape"))
