"""Tiles against the gnomonic projection of PROJ, on a picture whose colours tell the place."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyproj
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from georanker.data.earth_image import EarthImage
from georanker.geodesy import EARTH_RADIUS_KM

WAVES = 20.0  # the colours turn so fast that 2 km shift them by more than their steps of 1/255


def colours(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """(..., 3) in [0, 1]: smooth on the whole sphere, across the antimeridian and the poles too."""
    latitude, longitude = np.deg2rad(latitude), np.deg2rad(longitude)
    point = np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=-1
    )
    return 0.5 + 0.5 * np.sin(WAVES * point)


@pytest.fixture(scope="module")
def earth(tmp_path_factory: pytest.TempPathFactory) -> EarthImage:
    height, width = 1024, 2048
    latitude = 90 - (np.arange(height) + 0.5) * 180 / height
    longitude = (np.arange(width) + 0.5) * 360 / width - 180
    picture = colours(*np.meshgrid(latitude, longitude, indexing="ij"))
    file = tmp_path_factory.mktemp("earth") / "waves.png"
    Image.fromarray((picture * 255).round().astype(np.uint8)).save(file)
    return EarthImage(file)


def cut(
    earth: EarthImage, latitude: float, longitude: float, rotation: float = 0.0, extent: float = 480.0, size: int = 9
) -> np.ndarray:
    """(size, size, 3)."""
    one = torch.ones(1)
    tile = earth.cut(torch.tensor([[latitude, longitude]], dtype=torch.float64), rotation * one, extent * one, size)
    assert tile.shape == (1, 3, size, size)
    return tile[0].permute(1, 2, 0).numpy()


def expected(latitude: float, longitude: float, rotation: float, extent: float, size: int) -> np.ndarray:
    plane = pyproj.Proj(f"+proj=gnom +lat_0={latitude!r} +lon_0={longitude!r} +R={EARTH_RADIUS_KM}")
    axis = (np.arange(size) + 0.5) / size - 0.5
    right, up = np.meshgrid(axis * extent, -axis * extent)
    # The top of the tile looks to the bearing `rotation`.
    east = right * math.cos(rotation) + up * math.sin(rotation)
    north = up * math.cos(rotation) - right * math.sin(rotation)
    lon, lat = plane(east, north, inverse=True)
    return colours(lat, lon)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    latitude=st.floats(-70, 70),
    longitude=st.floats(-180, 180),
    rotation=st.floats(-math.pi, math.pi),
    extent=st.floats(50, 3000),
    size=st.integers(1, 8),
)
def test_as_proj(
    earth: EarthImage, latitude: float, longitude: float, rotation: float, extent: float, size: int
) -> None:
    tile = cut(earth, latitude, longitude, rotation, extent, size)
    np.testing.assert_allclose(tile, expected(latitude, longitude, rotation, extent, size), atol=0.006)


@pytest.mark.parametrize("longitude", [180.0, -180.0, 179.9, -179.99, 0.0])
@pytest.mark.parametrize("latitude", [0.0, 66.0, -66.0, 89.0, -89.5])
def test_across_the_antimeridian_and_the_poles(earth: EarthImage, latitude: float, longitude: float) -> None:
    tile = cut(earth, latitude, longitude, 0.3)
    np.testing.assert_allclose(tile, expected(latitude, longitude, 0.3, 480.0, 9), atol=0.02)


@pytest.mark.parametrize("pole", [90.0, -90.0])
def test_at_the_pole_turning_the_longitude_turns_the_tile(earth: EarthImage, pole: float) -> None:
    tile = cut(earth, pole, 0.0)
    np.testing.assert_allclose(cut(earth, pole, 90.0), np.rot90(tile, -1 if pole > 0 else 1), atol=0.02)
    # The top of a tile at the North Pole, centred on longitude 0, lies on the far side, at longitude 180.
    far = 90 - math.degrees(math.atan(480 / EARTH_RADIUS_KM * 4 / 9))
    top = colours(np.array(math.copysign(far, pole)), np.array(180.0 if pole > 0 else 0.0))
    np.testing.assert_allclose(tile[0, 4], top, atol=0.02)


def test_both_names_of_the_antimeridian_are_one(earth: EarthImage) -> None:
    np.testing.assert_allclose(cut(earth, 20.0, 180.0), cut(earth, 20.0, -180.0), atol=1e-3)


def test_a_quarter_turn_turns_the_tile(earth: EarthImage) -> None:
    tile = cut(earth, 40.0, 25.0, size=8)
    for quarters in (1, 2, 3):  # clockwise from north: what lay in the east comes to the top
        turned = cut(earth, 40.0, 25.0, quarters * math.pi / 2, size=8)
        np.testing.assert_allclose(turned, np.rot90(tile, quarters), atol=1e-3)


def test_tiles_do_not_depend_on_what_they_are_cut_with(earth: EarthImage) -> None:
    places = torch.tensor([[10.0, 20.0], [-60.0, 170.0], [89.0, 0.0]], dtype=torch.float64)
    rotation, extent = torch.tensor([0.0, 1.0, -2.0]), torch.tensor([100.0, 480.0, 700.0])
    together = earth.cut(places, rotation, extent, 8)
    for row in range(3):
        alone = earth.cut(places[row : row + 1], rotation[row : row + 1], extent[row : row + 1], 8)
        torch.testing.assert_close(alone[0], together[row], atol=0, rtol=0)


def test_a_picture_with_transparency_or_grey(tmp_path: Path) -> None:
    for mode, colour in (("L", 51), ("RGBA", (51, 51, 51, 0)), ("P", 0)):
        image = Image.new(mode, (8, 4), colour)
        if mode == "P":
            image.putpalette([51, 51, 51])
        image.save(tmp_path / "x.png")
        tile = cut(EarthImage(tmp_path / "x.png"), 12.0, 34.0)
        np.testing.assert_allclose(tile, 0.2, atol=1e-6)
