"""Some of the photos that a ranker came to, with what it made of their candidates."""

from __future__ import annotations

import heapq
import zlib
from dataclasses import replace

import torch
from torch import Tensor

from georanker.ranker import ranking
from georanker.types import RankingBatch

from .ranked_list import RankedList


class PhotoSample:
    """Keeps the photos whose ids have the smallest hashes.

    So they are the same in each epoch, whatever the order and the batches' size, and nobody needs to know before how
    many photos there are. Soon a batch has next to none of them, and what is kept stays on its device until the end.

    Args:
        size: how many to keep.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._smallest: list[int] = []  # a heap of hashes times -1, so that the largest of them comes first
        self._parts: list[tuple[list[int], RankingBatch, Tensor]] = []
        self._found: list[RankedList] | None = None

    def add(self, batch: RankingBatch, scores: Tensor) -> None:
        """Keep what belongs to the sample so far.

        Args:
            batch: B photos.
            scores: (B, K) of their candidates.
        """
        hashes = [zlib.crc32(photo_id.encode()) for photo_id in batch.photo_ids]
        for each in hashes:
            if len(self._smallest) < self.size:
                heapq.heappush(self._smallest, -each)
            elif -each > self._smallest[0]:
                heapq.heapreplace(self._smallest, -each)
        rows = [row for row, each in enumerate(hashes) if -each >= self._smallest[0]]
        if not rows:
            return
        self._found = None
        scores = scores.detach()
        kept = replace(batch, inputs={}, lists=())
        if len(rows) < len(batch):  # a copy of these rows lets go of the others
            at = torch.tensor(rows, device=scores.device)
            kept = replace(
                kept,
                photo_ids=tuple(batch.photo_ids[row] for row in rows),
                places=batch.places[at],
                truth=batch.truth[at],
                distances_km=batch.distances_km[at],
                retrieval_scores=batch.retrieval_scores[at],
                mask=batch.mask[at],
            )
            hashes, scores = [hashes[row] for row in rows], scores[at]
        self._parts.append((hashes, kept, scores))

    def lists(self) -> list[RankedList]:
        """Return the photos that were kept, in the order of their hashes."""
        if self._found is None:
            self._found = self._ranked()
        return self._found

    def _ranked(self) -> list[RankedList]:
        found: list[tuple[int, RankedList]] = []
        for hashes, part, part_scores in self._parts:
            batch, scores = part.to("cpu"), part_scores.float().cpu()
            order = ranking(scores.masked_fill(~batch.mask, float("-inf")))
            for row, each in enumerate(hashes):
                if -each < self._smallest[0]:
                    continue  # smaller ones came after it
                columns = order[row]
                columns = columns[batch.mask[row][columns]]
                places, distances_km, values = (
                    of[row][columns].numpy() for of in (batch.places, batch.distances_km, scores)
                )
                ranked = RankedList(
                    batch.photo_ids[row], batch.truth[row].numpy(), columns.numpy(), places, distances_km, values
                )
                found.append((each, ranked))
        return [ranked for _, ranked in sorted(found, key=lambda one: one[0])][: self.size]
