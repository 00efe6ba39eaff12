"""Photos small enough to lie inside a page."""

from __future__ import annotations

import base64
import io

from PIL import Image

from georanker.types import GeorankerError, Photo, PhotoSource


class Thumbnails:
    """Small JPEGs as data URIs, made until a budget is spent.

    Args:
        budget_bytes: what they may take in the page; once it is spent no photo is read any more.
        size: pixels of the longer side; smaller photos stay as they are.
        quality: of the JPEGs.
    """

    def __init__(self, budget_bytes: int, size: int = 112, quality: int = 62) -> None:
        self.uris: list[str] = []
        """The thumbnails, by the number that `add` returned."""
        self.faults: dict[str, str] = {}
        """Why photos could not be read, by their id."""
        self._left, self._size, self._quality = budget_bytes, size, quality
        self._numbers: dict[tuple[int, str], int] = {}

    def add(self, photo_id: str | None, source: PhotoSource | None) -> int:
        """Return the number of a photo's thumbnail, which is made if it is new.

        Args:
            photo_id: None for a place without a photo.
            source: holds the photo's bytes; None if nothing does.

        Returns:
            -1 if there is none: no photo, none that can be read, or the budget is spent.
        """
        if not photo_id or source is None:
            return -1
        key = (id(source), photo_id)
        if key not in self._numbers and self._left <= 0:
            return -1
        if key not in self._numbers:
            self._numbers[key] = self._made(photo_id, source)
        return self._numbers[key]

    def _made(self, photo_id: str, source: PhotoSource) -> int:
        try:
            image = Photo(photo_id, source=source).load()
        except GeorankerError as error:
            self.faults[photo_id] = str(error)
            return -1
        image.thumbnail((self._size, self._size), Image.Resampling.LANCZOS)
        packed = io.BytesIO()
        image.save(packed, "JPEG", quality=self._quality, optimize=True)
        uri = f"data:image/jpeg;base64,{base64.b64encode(packed.getvalue()).decode()}"
        self._left -= len(uri)
        self.uris.append(uri)
        return len(self.uris) - 1
