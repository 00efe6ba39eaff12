"""The picture of the Earth under a map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from georanker.gazetteer import gazetteer

_WIDTH = 3600
_SEA, _LAND = np.array([13.0, 24.0, 43.0]), np.array([86.0, 108.0, 140.0])


def background_picture(file: Path | None) -> Image.Image:
    """Return a picture dark enough that dots stand out on it.

    Args:
        file: an equirectangular picture of the Earth; None draws the world's settlements, whose density shows the
            continents.
    """
    if file is None:
        return _settlements()
    with Image.open(file) as image:
        width = min(image.width, _WIDTH)
        pixels = np.asarray(image.convert("RGB").resize((width, width // 2), Image.Resampling.LANCZOS), np.float32)
    return Image.fromarray((pixels * 0.55 + 0.04 * 255).astype(np.uint8))  # as world_map draws it


def _settlements() -> Image.Image:
    latitude, longitude = gazetteer().places.T
    counts = np.histogram2d(-latitude, longitude, (720, 1440), ((-90, 90), (-180, 180)))[0]
    share = np.clip(np.log1p(counts) / np.log(8), 0, 1)[..., None]
    return Image.fromarray((_SEA + share * (_LAND - _SEA)).astype(np.uint8))
