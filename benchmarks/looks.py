"""How often the looks of a photo call it odd: tiles that are known, the same tiles in other formats, and photographs.

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
    for name, share in rows.items():
        print(f"{name:20}{share:6.1%} of {TILES:,} tiles are called odd")
    for name, share in photographs.items():
        print(f"{name:36}{'odd' if share else 'usual'}")
    content = {"tiles": TILES, "share_called_odd": rows, "photographs": {n: bool(s) for n, s in photographs.items()}}
    write_json(RESULTS, {**content, "versions": {"pillow": version("pillow")}})


def odd(usual: UsualLooks, images: Sequence[Image.Image]) -> float:
    """Return the share of images that are called odd."""
    return float((usual.share_odder(looks(stacked(images)).numpy()) < ODD).mean())


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
