"""Reads photos as training would, and remembers what was found."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence
from dataclasses import dataclass

from georanker.checks.base import Look
from georanker.exif import read_gps
from georanker.side_by_side import side_by_side
from georanker.types import Batch, GeorankerError, Photo


@dataclass(frozen=True, slots=True)
class PhotoLooks(Batch):
    """What reading several photos gave; `of` is the collator that a loader calls in its workers."""

    looks: tuple[Look, ...]

    @classmethod
    def of(cls, photos: Sequence[Photo]) -> PhotoLooks:
        """Read and decode photos, side by side."""
        return cls(tuple(photo.id for photo in photos), tuple(side_by_side(_look, photos)))


@dataclass(frozen=True, slots=True)
class _Held:
    """Holds the bytes of one photo, so that it is read once for all that is asked of it."""

    data: bytes

    def read(self, photo_id: str) -> bytes:
        return self.data


def _look(photo: Photo) -> Look:
    assert photo.source is not None
    try:
        data = photo.source.read(photo.id)
    except (GeorankerError, OSError) as error:
        there = isinstance(photo.source, Container) and photo.id in photo.source
        return Look(str(error), missing=not there)
    digest = hashlib.blake2b(data, digest_size=16).digest()
    try:
        Photo(photo.id, source=_Held(data)).load()
    except GeorankerError as error:
        return Look(str(error), digest=digest)
    try:
        return Look(digest=digest, exif=read_gps(data))
    except GeorankerError as error:
        return Look(digest=digest, exif_fault=str(error))
