"""The benchmark that ships gives its photos by split, and refuses sizes that cannot be."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from georanker.backbones.similarity import SimilarityBackbone
from georanker.data.blue_marble import BlueMarble
from georanker.types import GeorankerError, Photo

SPLITS = ("gallery", "retriever_train", "train", "val", "test")


def small(cache: Path) -> BlueMarble:
    return BlueMarble(
        gallery_size=4,
        retriever_train_size=5,
        train_size=6,
        val_size=7,
        test_size=8,
        tile_size=16,
        cache=cache,
    )


@pytest.mark.parametrize("size", range(4, 9))
def test_photos_of_a_split(size: int, small_earth: Path, tmp_path: Path) -> None:
    split = SPLITS[size - 4]
    photos = small(tmp_path).photos(split)
    assert len(photos) == size
    assert list(tmp_path.iterdir()) == [], "a photo is not rendered before it is read"
    listed = list(photos)
    assert [photo.id for photo in listed] == [f"{split}/{size}-{index}" for index in range(size)]
    assert len({photo.place for photo in listed}) == size
    assert all(photo.load().size == (16, 16) for photo in listed)
    assert photos[1:3] == listed[1:3]
    assert photos[::-1] == listed[::-1]
    assert photos[-1] == listed[-1]
    for wrong in (size, -size - 1):
        with pytest.raises(IndexError):
            _ = photos[wrong]


def test_photos_travel_to_workers_without_pixels(small_earth: Path, tmp_path: Path) -> None:
    data = small(tmp_path)
    photos = data.photos("val")
    before = photos[0].load().tobytes()
    travelled: list[Photo] = pickle.loads(pickle.dumps(photos))
    assert list(travelled) == list(photos)
    assert travelled[0].load().tobytes() == before
    assert len(pickle.dumps(data.tiles)) < 1000


def test_the_sources_read_every_split(small_earth: Path, tmp_path: Path) -> None:
    data = small(tmp_path)
    assert data.photo_source is not None
    assert data.photo_source is data.gallery_source
    assert data.photo_source.read("val/7-2") == data.tiles.read("val/7-2")


def test_the_ground_grows_with_the_tile() -> None:
    assert BlueMarble().tiles.extent_km == 480
    assert BlueMarble(tile_size=16).tiles.extent_km == 120


def test_an_unknown_split_is_named() -> None:
    with pytest.raises(GeorankerError, match="no split 'valid'; it has gallery, retriever_train, train, val, test"):
        BlueMarble().photos("valid")


@pytest.mark.parametrize("name", [f"{split}_size" for split in SPLITS])
@pytest.mark.parametrize("size", [0, -1])
def test_a_split_needs_a_photo(name: str, size: int) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, not {size}"):
        BlueMarble(**{name: size})  # type: ignore[arg-type]


def test_looks_that_cannot_be() -> None:
    for jitter in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match=f"jitter .* not .*{jitter:g}"):
            BlueMarble(jitter=jitter)
    with pytest.raises(ValueError, match="tile_size must be at least 1"):
        BlueMarble(tile_size=0)


def test_what_a_checkpoint_remembers() -> None:
    """The collator comes from the model and holds code: a checkpoint that held it could not be read safely."""
    data = BlueMarble(unseen=True, collator=len)  # type: ignore[arg-type]
    assert data.hparams["unseen"] is True
    assert "collator" not in data.hparams


def test_candidates_of_other_tiles_are_refused(small_run: Path) -> None:
    def small_world(unseen: bool = False, data_seed: int = 0, test_size: int = 24) -> BlueMarble:
        folders = small_run / "candidates", small_run / "cache"
        return BlueMarble(
            folders[0],
            unseen=unseen,
            test_size=test_size,
            data_seed=data_seed,
            collator=SimilarityBackbone().collator,
            cache=folders[1],
        )

    def loads(data: BlueMarble) -> list[Callable[[], object]]:
        return [lambda: data.lists("test"), data.test_dataloader, data.predict_dataloader]

    assert len(small_world().lists("test")) == 24
    for load in loads(small_world()):
        load()
    for other in (small_world(unseen=True), small_world(data_seed=1), small_world(test_size=20)):
        for load in loads(other):
            with pytest.raises(GeorankerError, match=r"test\.parquet: retrieved for other tiles"):
                load()
