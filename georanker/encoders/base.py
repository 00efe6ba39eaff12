"""The contract of encoders: what turns a photo or a place into a vector."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from georanker.recorded import Recorded


class ImageEncoder(Recorded, nn.Module, ABC):
    """Photos -> vectors. Photos reach it as squares of `image_size` pixels, so that a collator needs no weights."""

    image_size: int
    """Pixels along each side of the photos that it reads."""
    dim: int
    """Length of the vectors that it gives."""

    @abstractmethod
    def forward(self, pixels: Tensor) -> Tensor:
        """Encode (B, 3, image_size, image_size) uint8 RGB as (B, dim)."""


class LocationEncoder(Recorded, nn.Module, ABC):
    """Places -> vectors."""

    dim: int
    """Length of the vectors that it gives."""

    @abstractmethod
    def forward(self, places: Tensor) -> Tensor:
        """Encode (..., 2) degrees as (..., dim)."""
