"""Candidates that a model could not be asked about."""

from __future__ import annotations

import warnings

import torch

from georanker.types import GeorankerError, NothingReadError, RankingBatch

_ENOUGH_LISTS = 20


class Unread:
    """Lets a long run pass over single photos, and stops one whose settings let it read none.

    Args:
        context: the most tokens that the model takes.
    """

    def __init__(self, context: int) -> None:
        self.context = context
        self._lists: int | None = 0  # that went by without a photo; None since there was one

    def check(self, batch: RankingBatch, training: bool) -> None:
        """Look through a batch of VLMCollator.

        A prompt that is longer than the context is told once for each photo that is asked about.

        Raises:
            GeorankerError: there is such a prompt in training.
            NothingReadError: of the first lists no candidate with a photo could be asked about.
        """
        told = set()
        for row, column in batch.inputs["too_long"].nonzero().tolist():
            said = (
                f"photo {batch.photo_ids[row]}: the prompt about {batch.places[row, column].tolist()} has "
                f"{batch.inputs['too_long'][row, column]} tokens, but the model takes {self.context}"
            )
            if training:
                raise GeorankerError(f"{said}; set a smaller max_pixels, or a prompt with fewer negatives")
            if row not in told:
                told.add(row)
                warnings.warn(f"{said}; what needs it ranks last", stacklevel=1)
        if self._lists is None:
            return
        pictured = batch.inputs["pictured"]
        tried = torch.where(pictured.any(1, keepdim=True), pictured, batch.mask)
        if (tried & ~batch.inputs["unread"]).any():
            self._lists = None
            return
        self._lists += len(batch)
        if self._lists >= _ENOUGH_LISTS:
            raise NothingReadError(
                f"of the first {self._lists} photos no candidate with a photo could be asked about, which the warnings "
                "explain; see data.photos, data.gallery_photos and max_pixels"
            )
