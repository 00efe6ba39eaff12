"""Distances on the Earth, in kilometres between places given as (latitude, longitude) in degrees, WGS84."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from pyproj import Geod

EARTH_RADIUS_KM = 6371.0088  # IUGG mean radius R1


@functools.cache
def _wgs84() -> Geod:
    from pyproj import Geod

    return Geod(ellps="WGS84")


def check_places(places: Tensor) -> None:
    """Raise if a place does not exist; NaN, which stands for an unknown place, passes.

    Args:
        places: (..., 2) latitude and longitude in degrees.

    Raises:
        ValueError: the last dimension is not 2, a latitude is outside [-90, 90] or a longitude outside
            [-180, 180].
    """
    if places.shape[-1:] != (2,):
        raise ValueError(f"places must have shape (..., 2), not {tuple(places.shape)}")
    for column, name, limit in ((0, "latitude", 90.0), (1, "longitude", 180.0)):
        values = places[..., column]
        wrong = values.abs() > limit
        if wrong.any():
            worst = values[wrong][0].item()
            raise ValueError(f"{name} {worst:g} is outside [-{limit:g}, {limit:g}] degrees")


def haversine_km(a: Tensor, b: Tensor) -> Tensor:
    """Great-circle distance on a sphere, differentiable everywhere.

    With half differences p = Δφ/2, l = Δλ/2 and mean latitude m, the haversine and its complement are sums of
    two squares, h = (sin p cos l)² + (cos m sin l)² and 1 - h = (cos p cos l)² + (sin m sin l)², so that
    d = 2 R atan2(√h, √(1 - h)) loses no digits at zero distance or at antipodes, and its gradient stays finite
    there. It differs from the WGS84 geodesic by up to 0.56 %.

    Args:
        a: (..., 2) latitude and longitude in degrees.
        b: (..., 2), broadcast against `a`.

    Returns:
        (...) kilometres, in the floating type of the inputs. Latitudes are not checked: that would cost a step of
        training a copy from its device.

    Raises:
        ValueError: the last dimension is not 2.

    Source: R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68 (1984), in half-angle form.

    >>> haversine_km(torch.tensor([0.0, 0.0]), torch.tensor([0.0, 180.0])).round()
    tensor(20015.)
    """
    for places in (a, b):
        if places.shape[-1:] != (2,):
            raise ValueError(f"places must have shape (..., 2), not {tuple(places.shape)}")
    a, b = torch.deg2rad(a), torch.deg2rad(b)
    half = (a - b) / 2
    mean_latitude = (a[..., 0] + b[..., 0]) / 2
    sin_p, cos_p = half[..., 0].sin(), half[..., 0].cos()
    sin_l, cos_l = half[..., 1].sin(), half[..., 1].cos()
    near = torch.linalg.vector_norm(torch.stack([sin_p * cos_l, mean_latitude.cos() * sin_l], -1), dim=-1)
    far = torch.linalg.vector_norm(torch.stack([cos_p * cos_l, mean_latitude.sin() * sin_l], -1), dim=-1)
    return 2 * EARTH_RADIUS_KM * torch.atan2(near, far)


def geodesic_km(a: Tensor, b: Tensor) -> Tensor:
    """Length of the shortest path on the WGS84 ellipsoid, exact to nanometres also for antipodes.

    Args:
        a: (..., 2) latitude and longitude in degrees.
        b: (..., 2), broadcast against `a`.

    Returns:
        (...) kilometres, float64, on the device of `a`; without gradient. NaN where a coordinate is NaN.

    Raises:
        ValueError: a coordinate is out of range.

    Source: C. F. F. Karney, "Algorithms for geodesics", J. Geodesy 87 (2013), through pyproj.

    >>> geodesic_km(torch.tensor([48.8584, 2.2945]), torch.tensor([40.6892, -74.0445])).round()
    tensor(5853., dtype=torch.float64)
    """
    device = a.device
    a, b = a.detach().cpu().double(), b.detach().cpu().double()
    check_places(a)
    check_places(b)
    first, second = np.broadcast_arrays(a.numpy(), b.numpy())
    # pyproj's answer is flat: it has no arrays without a dimension, and single places are such.
    _, _, metres = _wgs84().inv(
        first[..., 1].ravel(), first[..., 0].ravel(), second[..., 1].ravel(), second[..., 0].ravel()
    )
    km = torch.as_tensor(np.asarray(metres) / 1000, dtype=torch.float64).reshape(first.shape[:-1])
    return km.to(device) if device.type != "mps" else km.float().to(device)  # MPS has no float64


def spherical_mean(places: Tensor, weights: Tensor | None = None) -> Tensor:
    """Centre of gravity of places on the sphere: the direction of the weighted sum of their unit vectors.

    Args:
        places: (..., N, 2) latitude and longitude in degrees.
        weights: (..., N), not negative; equal by default.

    Returns:
        (..., 2) degrees; NaN where the vectors cancel (two antipodes) or no weight is left, since no
        direction is the mean there.

    >>> spherical_mean(torch.tensor([[10.0, 179.0], [10.0, -179.0]])).abs().round()
    tensor([ 10., 180.])
    """
    vectors = unit_vectors(places)
    if weights is None:
        total = vectors.mean(-2)
    else:  # shares of their sum, so that tiny weights do not underflow
        total = (vectors * (weights / weights.sum(-1, keepdim=True))[..., None]).sum(-2)
    x, y, z = total.unbind(-1)
    mean = torch.stack([torch.atan2(z, torch.hypot(x, y)), torch.atan2(y, x)], -1)
    lost = torch.linalg.vector_norm(total, dim=-1) <= 16 * torch.finfo(total.dtype).eps
    return torch.rad2deg(mean).masked_fill(lost[..., None], float("nan"))


def unit_vectors(places: Tensor) -> Tensor:
    """Places as points of the unit sphere: (..., 2) degrees -> (..., 3) x, y, z."""
    latitude, longitude = torch.deg2rad(places).unbind(-1)
    return torch.stack([latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()], dim=-1)
