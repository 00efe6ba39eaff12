"""Reads photos as training would, and remembers what was found."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

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
        looks = tuple(_with_exif(look, data) for look, data in side_by_side(_look, photos))
        return cls(tuple(photo.id for photo in photos), looks)


@dataclass(frozen=True, slots=True)
class _Held:
    """Holds the bytes of one photo, so that it is read once for all that is asked of it."""

    data: bytes

    def read(self, photo_id: str) -> bytes:
        return self.data


def _look(photo: Photo) -> tuple[Look, bytes]:
    assert photo.source is not None
    try:
        data = photo.source.read(photo.id)
    except (GeorankerError, OSError) as error:
        there = isinstance(photo.source, Container) and photo.id in photo.source
        return Look(str(error), missing=not there), b""
    digest = hashlib.blake2b(data, digest_size=16).digest()
    try:
        Photo(photo.id, source=_Held(data)).load()
    except GeorankerError as error:
        return Look(str(error), digest=digest), b""
    return Look(digest=digest), data


def _with_exif(look: Look, data: bytes) -> Look:
    """Add what the EXIF says; not side by side, since it listens to Pillow's warnings, which belong to no thread."""
    try:
        return replace(look, exif=read_gps(data)) if data else look
    except GeorankerError as error:
        return replace(look, exif_fault=str(error))
