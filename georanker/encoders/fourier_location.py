"""Random Fourier features of the unit sphere."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from georanker.encoders.base import LocationEncoder
from georanker.geodesy import EARTH_RADIUS_KM, unit_vectors


class FourierLocationEncoder(LocationEncoder):
    """A perceptron over random Fourier features of the place on the unit sphere, at several scales.

    γ(x) = [cos(B x), sin(B x)] with B ~ N(0, 1/scale²), where x is the unit vector of the place: the sphere has no
    antimeridian and no stretched poles, unlike a map. GeoCLIP and G3 use the same features on a map projection.

    Source: Tancik et al., "Fourier Features Let Networks Learn High Frequency Functions", NeurIPS 2020, eq. 5.

    Args:
        dim: length of the vectors.
        scales_km: over which distance each group of features turns by about a radian.
        features: cosines and sines per scale.
        hidden: width of the perceptron.
    """

    frequencies: Tensor

    def __init__(
        self,
        dim: int = 128,
        scales_km: Sequence[float] = (3000.0, 1000.0, 300.0),
        features: int = 128,
        hidden: int = 512,
    ) -> None:
        super().__init__()
        if not scales_km or not all(scale > 0 for scale in scales_km):
            raise ValueError(f"scales_km must be positive, not {tuple(scales_km)}")
        self.dim = dim
        groups = [torch.randn(3, features // 2) * (EARTH_RADIUS_KM / scale) for scale in scales_km]
        self.register_buffer("frequencies", torch.cat(groups, dim=1))
        self.layers = nn.Sequential(
            nn.Linear(3 + 2 * self.frequencies.shape[1], hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, dim),
        )

    def forward(self, places: Tensor) -> Tensor:
        """Encode (..., 2) degrees as (..., dim)."""
        # In float64 up to here: the phases are large, and float32 degrees are a metre apart.
        points = unit_vectors(places.double() if places.device.type != "mps" else places).to(self.frequencies.dtype)
        phases = points @ self.frequencies
        vectors: Tensor = self.layers(torch.cat([points, phases.cos(), phases.sin()], dim=-1))
        return vectors
