"""Cuts square tiles out of a picture of the whole Earth."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from georanker.geodesy import EARTH_RADIUS_KM


class EarthImage:
    """An equirectangular picture of the Earth, from which tiles are cut gnomonically.

    The gnomonic projection looks at the sphere from its centre, so that a tile has the same scale and shape at every
    latitude. A plain crop would betray its latitude by how far it is stretched.

    Args:
        file: an image with longitude -180 at the left edge and latitude 90 at the top.
    """

    def __init__(self, file: Path) -> None:
        from PIL import Image

        with Image.open(file) as image:
            pixels = torch.from_numpy(np.array(image.convert("RGB")))
        self.height, self.width = pixels.shape[:2]
        # One column more on each side lets tiles cross the antimeridian.
        wrapped = torch.cat([pixels[:, -1:], pixels, pixels[:, :1]], dim=1)
        self._pixels = wrapped.permute(2, 0, 1)[None].float() / 255

    def cut(self, places: Tensor, rotation: Tensor, extent_km: Tensor, size: int) -> Tensor:
        """Cut N tiles.

        Args:
            places: (N, 2) degrees, the centres.
            rotation: (N) radians, clockwise from north.
            extent_km: (N) width of the ground that each tile shows.
            size: pixels along each side.

        Returns:
            (N, 3, size, size) in [0, 1].

        Source: J. P. Snyder, "Map Projections: A Working Manual", USGS Professional Paper 1395, equations 20-14, 20-15.
        """
        latitude, longitude = torch.deg2rad(places.float())[:, :, None, None].unbind(1)
        axis = (torch.arange(size) + 0.5) / size - 0.5
        right, up = torch.meshgrid(axis, -axis, indexing="xy")
        sin, cos = rotation.sin()[:, None, None], rotation.cos()[:, None, None]
        scale = (extent_km / EARTH_RADIUS_KM)[:, None, None]
        x, y = scale * (cos * right + sin * up), scale * (cos * up - sin * right)

        distance = torch.hypot(x, y)
        angle = distance.atan()
        ratio = torch.where(distance > 0, angle.sin() / distance, 1.0)
        sin_latitude = angle.cos() * latitude.sin() + y * ratio * latitude.cos()
        tile_latitude = sin_latitude.clamp(-1, 1).asin()
        tile_longitude = longitude + torch.atan2(x * ratio, angle.cos() * latitude.cos() - y * ratio * latitude.sin())
        across = torch.remainder(tile_longitude / (2 * math.pi) + 0.5, 1.0) * self.width  # in pixels, from the left
        down = 0.5 - tile_latitude / math.pi
        grid = torch.stack([(across + 1) / (self.width + 2), down], dim=-1) * 2 - 1
        source = self._pixels.expand(len(places), -1, -1, -1)
        return torch.nn.functional.grid_sample(
            source, grid, mode="bilinear", padding_mode="border", align_corners=False
        )
