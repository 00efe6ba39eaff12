"""A photo and what a ranker made of its candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RankedList:
    """A photo and its K candidates in the ranker's order, best first."""

    photo_id: str
    truth: np.ndarray
    """(2,) degrees, NaN where unknown."""
    columns: np.ndarray
    """(K,) where each candidate stood in the retriever's order, from 0."""
    places: np.ndarray
    """(K, 2) degrees."""
    distances_km: np.ndarray
    """(K,) from the truth, NaN where unknown."""
    scores: np.ndarray
    """(K,) not finite where a candidate could not be scored."""
