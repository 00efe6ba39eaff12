"""A photo that a prompt shows, before it is read."""

from __future__ import annotations

from dataclasses import dataclass

from georanker.types import Photo


@dataclass(frozen=True, slots=True)
class PhotoAsked:
    """A photo to be read, and how; see `PhotoReader.read`."""

    photo: Photo
    jpeg_quality: int | None
    alone: bool
    keep: bool

    @property
    def key(self) -> tuple[object, ...]:
        """What tells it from others."""
        return self.photo.id, id(self.photo.source), self.jpeg_quality, self.alone
