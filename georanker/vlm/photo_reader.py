"""A photo on its way into a vision-language model: decoded once, processed once."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from georanker.side_by_side import side_by_side
from georanker.types import GeorankerError, Photo
from georanker.vlm.features import KEY, TEXT
from georanker.vlm.photo_asked import PhotoAsked
from georanker.vlm.photo_tokens import PhotoTokens

if TYPE_CHECKING:
    from georanker.vlm.feature_store import FeatureStore


@dataclass(frozen=True)
class PhotoReader:
    """Reads photos for one model.

    Args:
        processor: the model's, without its weights.
        photo_id: the token that stands for one feature of a photo.
        min_pixels: smaller photos are enlarged to this area; None for the model's own bound.
        max_pixels: larger photos are reduced to this area; None for the model's own bound.
        store: keeps features of photos that come again; None for none.

    Raises:
        ValueError: a bound is below 1, or the lower one above the upper one.
    """

    processor: Any
    photo_id: int
    min_pixels: int | None = None
    max_pixels: int | None = None
    store: FeatureStore | None = None

    def __post_init__(self) -> None:
        given = {"shortest_edge": self.min_pixels, "longest_edge": self.max_pixels}
        bounds = {name: pixels for name, pixels in given.items() if pixels is not None}
        for pixels in bounds.values():
            if pixels < 1:
                raise ValueError(f"min_pixels and max_pixels must be at least 1, not {pixels}")
        if self._has_bounds:
            bounds = {**dict(self.processor.image_processor.size), **bounds}
            self.processor.image_processor.size = bounds
        low, high = bounds.get("shortest_edge"), bounds.get("longest_edge")
        if low is not None and high is not None and low > high:
            raise ValueError(f"min_pixels, {low}, is above max_pixels, {high}; what is not set is the model's own")

    @property
    def _has_bounds(self) -> bool:
        """Whether the model's own processor keeps the area of photos between two bounds."""
        return "min_pixels" in self.processor.image_processor.valid_kwargs.__annotations__

    @property
    def minds_company(self) -> bool:
        """Whether the model takes a photo in another way when it stands beside others in a prompt."""
        return "batch_num_images" in self.processor.image_processor.model_input_names

    def __getstate__(self) -> dict[str, object]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # threads stay behind

    def read_all(self, asked: Sequence[PhotoAsked]) -> list[PhotoTokens | GeorankerError]:
        """Read photos, in as many threads as torch has in this process: one in a loader's worker.

        Returns:
            For each photo what was made of it, or why it cannot be read.
        """
        while len(self._readers) < min(torch.get_num_threads(), len(asked)):
            self._readers.append(
                replace(self, processor=copy.deepcopy(self.processor)) if self._readers else self
            )  # tokenizers serve one at a time
        free = SimpleQueue[PhotoReader]()
        for reader in self._readers:
            free.put(reader)

        def read(each: PhotoAsked) -> PhotoTokens | GeorankerError:
            reader = free.get()
            try:
                return reader._tried(each)
            finally:
                free.put(reader)

        return side_by_side(read, asked)

    @cached_property
    def _readers(self) -> list[PhotoReader]:
        return []

    def _tried(self, asked: PhotoAsked) -> PhotoTokens | GeorankerError:
        try:
            return self.read(asked.photo, asked.jpeg_quality, asked.alone, asked.keep)
        except GeorankerError as error:
            return error

    def read(
        self, photo: Photo, jpeg_quality: int | None = None, alone: bool = False, keep: bool = False
    ) -> PhotoTokens:
        """Decode a photo and process it, or take it from the store.

        Args:
            photo: to be read.
            jpeg_quality: of a round trip through JPEG, 1 to 95; None for none.
            alone: whether it is the only photo of its prompt, for models that mind.
            keep: whether it is worth keeping; it needs a store.

        Raises:
            GeorankerError: it cannot be read, or the model cannot take it.
        """
        if self.store is None or not keep or photo.source is None:
            return self._processed(photo, jpeg_quality, alone)
        settings = f"{jpeg_quality} {alone} {self.min_pixels} {self.max_pixels}"
        key = self.store.key(photo.source.read(photo.id), settings)
        kept = self.store.get(key)
        if kept is not None:
            return kept
        made = self._processed(photo, jpeg_quality, alone)
        marks = {KEY: key, TEXT: made.text.encode()}
        tensors = {name: torch.frombuffer(bytearray(mark), dtype=torch.uint8) for name, mark in marks.items()}
        return PhotoTokens({**made.tensors, **tensors}, made.text, made.count)

    def _processed(self, photo: Photo, jpeg_quality: int | None, alone: bool) -> PhotoTokens:
        image = photo.load()
        if jpeg_quality is not None:
            image = reencoded(image, jpeg_quality)
        if not self._has_bounds:
            image = self._bounded(image)
        copies = 2 if self.minds_company and not alone else 1
        try:
            made = self.processor(
                text=[self.processor.image_token * copies],
                images=[[image] * copies],
                return_text_replacement_offsets=True,
                return_tensors="pt",
            )
        except ValueError as error:
            raise GeorankerError(f"photo {photo.id}: the model cannot take it ({error})") from error
        (replaced,) = made["text_replacement_offsets"]
        names = set(self.processor.image_processor.model_input_names) & set(made)
        return PhotoTokens(
            {name: made[name][: max(1, len(made[name]) // copies)] for name in sorted(names)},
            replaced[0]["replacement"],
            int((made["input_ids"] == self.photo_id).sum()) // copies,
        )

    def _bounded(self, image: Image.Image) -> Image.Image:
        pixels = image.width * image.height
        wanted = min(max(pixels, self.min_pixels or 1), self.max_pixels or math.inf)
        if wanted == pixels:
            return image
        scale = math.sqrt(wanted / pixels)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        return image.resize(size, Image.Resampling.BICUBIC)


def reencoded(image: Image.Image, quality: int) -> Image.Image:
    """Return what is left of an image after a round trip through JPEG, as the public code sends photos."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality)
    with Image.open(buffer) as again:
        return again.convert("RGB")
