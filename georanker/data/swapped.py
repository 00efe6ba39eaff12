"""Latitude and longitude in each other's place."""

from __future__ import annotations

import numpy as np

_ROWS, _SHARE = 3, 0.1
"""So many latitudes beyond 90 degrees are no slips: a third of all photos are taken east or west of there."""


def swapped(latitudes: np.ndarray, longitudes: np.ndarray) -> int:
    """Return how many of (N,) latitudes are beyond 90 degrees, if that means that they are longitudes; else 0.

    It does where they are many, and no longitude is beyond 90 degrees.
    """
    beyond = int(((np.abs(latitudes) > 90) & (np.abs(latitudes) <= 180)).sum())
    many = beyond >= max(_ROWS, _SHARE * len(latitudes))
    return beyond if many and not (np.abs(longitudes) > 90).any() else 0
