"""Photos become a batch of squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from georanker.side_by_side import side_by_side
from georanker.types import Photo, PhotoBatch

_LARGE = 1 << 16
"""Pixels of a photo above which decoding it costs more than a thread does."""


@dataclass(frozen=True)
class PhotoCollator:
    """Decodes photos and fits them to squares: the shorter side is scaled, the longer one cropped at the centre.

    Args:
        image_size: pixels along each side.
    """

    image_size: int

    def __call__(self, photos: Sequence[Photo]) -> PhotoBatch:
        """Decode B photos, side by side where they are large; their places are NaN where unknown."""
        from PIL import Image, ImageOps

        size = (self.image_size, self.image_size)
        pixels = np.empty((len(photos), *size, 3), dtype=np.uint8)

        def fit(row: int) -> int:
            image = photos[row].load()
            pixels[row] = np.asarray(
                image if image.size == size else ImageOps.fit(image, size, Image.Resampling.BICUBIC)
            )
            return image.width * image.height

        rest = range(1, len(photos))
        if photos and fit(0) > _LARGE:
            side_by_side(fit, rest)
        else:
            for row in rest:
                fit(row)
        unknown = (float("nan"), float("nan"))
        places = [(p.place.latitude, p.place.longitude) if p.place else unknown for p in photos]
        return PhotoBatch(
            photo_ids=tuple(photo.id for photo in photos),
            pixels=torch.from_numpy(pixels).permute(0, 3, 1, 2),
            places=torch.tensor(places, dtype=torch.float64),
        )
