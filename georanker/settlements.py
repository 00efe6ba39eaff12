"""What the gazetteer finds near points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Settlements:
    """The nearest settlement of each of N points, as columns."""

    city: np.ndarray
    """(N,) str; "" in all columns of names where the point is NaN or the name is not known."""
    state: np.ndarray
    """(N,) str, the first administrative division."""
    country: np.ndarray
    """(N,) str."""
    continent: np.ndarray
    """(N,) str, that of the country: all of Turkey is in Asia, and all of Egypt in Africa. Russia alone is parted."""
    centre: np.ndarray
    """(N, 2) float64 degrees of the settlement; NaN where the point is NaN."""
    distance_km: np.ndarray
    """(N,) float64, geodesic to the centre; NaN where the point is NaN."""
