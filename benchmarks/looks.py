"""How often the looks of a photo call it odd: known tiles in several formats, pictures, squares of them, and noise.

python benchmarks/looks.py
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import get_data_path
from PIL import Image, ImageOps
from torch import Tensor

from georanker.data.blue_marble import BlueMarble
from georanker.files import write_json
from georanker.looks import MOST, UsualLooks, looks

RESULTS = Path(__file__).parent / "results" / "looks.json"
ODD = 0.01
TILES = 1000
OTHERS = 500
FORMATS: dict[str, dict[str, Any]] = {
    "PNG": {"format": "PNG"},
    "JPEG, quality 95": {"format": "JPEG", "quality": 95},
    "JPEG, quality 90": {"format": "JPEG", "quality": 90},
    "JPEG, quality 75": {"format": "JPEG", "quality": 75},
    "WebP, quality 80": {"format": "WEBP", "quality": 80},
}


def main() -> None:
    """Measure, print and write."""
    with tempfile.TemporaryDirectory() as cache:
        data = BlueMarble(gallery_size=MOST, test_size=TILES, cache=Path(cache))
        usual = UsualLooks(looks(stacked(photo.load() for photo in data.photos("gallery"))).numpy())
        tiles = [photo.load() for photo in data.photos("test")]
    rows = {name: odd(usual, [saved(tile, settings) for tile in tiles]) for name, settings in FORMATS.items()}
    files = sorted(Path(get_data_path(), "sample_data").glob("*.[jp][pn]g"))
    photographs = {file.name: odd(usual, [ImageOps.fit(Image.open(file).convert("RGB"), (64, 64))]) for file in files}
    random = np.random.default_rng(0)
    others = {f"squares of {file.name}": [square(Image.open(file), random) for _ in range(OTHERS)] for file in files}
    for side in (64, 256):
        noise = [random.integers(0, 256, (side, side, 3), np.uint8) for _ in range(OTHERS)]
        others[f"noise of {side} pixels"] = [ImageOps.fit(Image.fromarray(each), (64, 64)) for each in noise]
    shares = {name: odd(usual, images) for name, images in others.items()}
    for name, share in rows.items():
        print(f"{name:20}{share:6.1%} of {TILES:,} tiles are called odd")
    for name, share in shares.items():
        print(f"{name:44}{share:6.1%} of {OTHERS:,} are called odd")
    for name, share in photographs.items():
        print(f"{name:36}{'odd' if share else 'usual'}")
    content = {"tiles": TILES, "share_called_odd": rows, "photographs": {n: bool(s) for n, s in photographs.items()}}
    content |= {"others": OTHERS, "share_of_others_called_odd": shares}
    write_json(RESULTS, {**content, "versions": {"pillow": version("pillow")}})


def odd(usual: UsualLooks, images: Sequence[Image.Image]) -> float:
    """Return the share of images that are called odd."""
    return float((usual.share_odder(looks(stacked(images)).numpy()) < ODD).mean())


def square(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Return a square of at least 64 pixels, anywhere in an image, as a small photo."""
    side = int(random.integers(64, min(image.size) + 1))
    left, top = (int(random.integers(0, extent - side + 1)) for extent in image.size)
    return ImageOps.fit(image.convert("RGB").crop((left, top, left + side, top + side)), (64, 64))


def saved(image: Image.Image, settings: dict[str, Any]) -> Image.Image:
    """Return what is left of an image in a file."""
    file = io.BytesIO()
    image.save(file, **settings)
    return Image.open(file).convert("RGB")


def stacked(images: Iterable[Image.Image]) -> Tensor:
    """Return (N, 3, H, W) uint8."""
    return torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images])


if __name__ == "__main__":
    main()
