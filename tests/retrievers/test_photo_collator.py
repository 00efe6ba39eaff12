"""Photos become squares as Pillow alone would make them."""

from __future__ import annotations

import io
import pickle
import threading
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from georanker.retrievers.photo_collator import PhotoCollator
from georanker.types import GeorankerError, Photo, Place


@dataclass(frozen=True)
class Noise:
    """Photos of a size."""

    width: int
    height: int

    def image(self) -> Image.Image:
        random = np.random.default_rng(self.width)
        return Image.fromarray(random.integers(0, 256, (self.height, self.width, 3), np.uint8))

    def read(self, photo_id: str) -> bytes:
        buffer = io.BytesIO()
        self.image().save(buffer, "PNG")
        return buffer.getvalue()


def squared(image: Image.Image, size: int) -> np.ndarray:
    """Crop the longer side at the centre, then scale."""
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box))


@pytest.mark.parametrize(
    ("width", "height"), [(16, 16), (64, 64), (40, 16), (16, 40), (97, 31), (31, 96), (7, 5), (1, 1), (300, 2)]
)
def test_as_pillow(width: int, height: int) -> None:
    source = Noise(width, height)
    batch = PhotoCollator(16)([Photo("a", None, source)])
    assert batch.pixels.shape == (1, 3, 16, 16)
    assert batch.pixels.dtype == torch.uint8
    found = batch.pixels[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found.astype(int), squared(source.image(), 16).astype(int), atol=1)


def test_a_photo_of_the_right_size_is_left_alone() -> None:
    source = Noise(16, 16)
    batch = PhotoCollator(16)([Photo("a", None, source)])
    np.testing.assert_array_equal(batch.pixels[0].permute(1, 2, 0), np.asarray(source.image()))


def test_rows_follow_the_photos() -> None:
    photos = [
        Photo("a", Place(-33.123456789, 151.0), Noise(20, 20)),
        Photo("b", None, Noise(30, 20)),
        Photo("c", Place(90.0, -180.0), Noise(16, 16)),
    ]
    batch = PhotoCollator(8)(photos)
    assert batch.photo_ids == ("a", "b", "c")
    assert batch.places.dtype == torch.float64
    assert batch.places[[0, 2]].tolist() == [[-33.123456789, 151.0], [90.0, -180.0]]
    assert batch.places[1].isnan().all()
    for row, photo in enumerate(photos):
        assert torch.equal(PhotoCollator(8)([photo]).pixels[0], batch.pixels[row])


def test_large_photos_are_read_side_by_side_into_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = [Photo(f"{width}", None, Noise(width, 300)) for width in range(300, 308)]
    alone = [PhotoCollator(8)([photo]).pixels[0] for photo in photos]
    threads = set()
    load = Photo.load

    def noted(photo: Photo) -> Image.Image:
        threads.add(threading.get_ident())
        return load(photo)

    monkeypatch.setattr(Photo, "load", noted)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    batch = PhotoCollator(8)(photos)
    assert len(threads) > 1
    assert all(torch.equal(row, pixels) for row, pixels in zip(batch.pixels, alone, strict=True))
    with pytest.raises(GeorankerError, match="photo lost: no source"):
        PhotoCollator(8)([*photos, Photo("lost"), *photos])


def test_it_travels_to_workers() -> None:
    assert pickle.loads(pickle.dumps(PhotoCollator(8))) == PhotoCollator(8)


def test_a_photo_without_bytes_is_named() -> None:
    with pytest.raises(GeorankerError, match=r"photo trip\.jpg: no source"):
        PhotoCollator(8)([Photo("trip.jpg")])
