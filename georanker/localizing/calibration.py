"""How far an answer can be trusted, learned from photos whose place is known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from georanker.geodesy import haversine_km
from georanker.localizing.trust import NEAR_KM
from georanker.types import GeorankerError

_BINS = 20
_QUANTILES = 201


@dataclass(frozen=True)
class Calibration:
    """What held-out photos say about a new one.

    Args:
        similarities: quantiles, evenly spaced and rising, of the score of the first retrieved candidate.
        agreements: the largest agreement in each bin of held-out answers, rising; see `Trust`.
        right: the share of right answers in each of these bins, which never falls.
        photos: held-out photos that all this comes from.
    """

    similarities: Sequence[float] = ()
    agreements: Sequence[float] = ()
    right: Sequence[float] = ()
    photos: int = 0

    def __post_init__(self) -> None:
        for name in ("similarities", "agreements", "right"):
            values = getattr(self, name)
            if not isinstance(values, list | tuple) or not all(_is_finite(value) for value in values):
                raise GeorankerError(f"calibration: {name} must be a list of finite numbers")
            if list(values) != sorted(values):
                raise GeorankerError(f"calibration: {name} must not fall")
        if len(self.agreements) != len(self.right):
            raise GeorankerError("calibration: agreements and right differ in length")

    @classmethod
    def from_run(cls, run: Path) -> Self:
        """Learn from the files of a run: its candidates of the split test, and its answers for them.

        What is missing is left out.

        Raises:
            GeorankerError: a file is there and cannot be read.
        """
        similarities, answers = _similarities(run / "candidates" / "test.parquet"), run / "predictions.parquet"
        agreement, error_km = _agreements(answers) if answers.exists() else (np.empty(0), np.empty(0))
        return cls.fitted(similarities, agreement, error_km)

    @classmethod
    def fitted(cls, similarities: np.ndarray, agreement: np.ndarray, error_km: np.ndarray) -> Self:
        """Learn from held-out photos.

        Args:
            similarities: (N,) the score of the first retrieved candidate of each photo.
            agreement: (M,) of each answer.
            error_km: (M,) of each answer, NaN where unknown.
        """
        quantiles = np.quantile(similarities, np.linspace(0, 1, _QUANTILES)).tolist() if len(similarities) else []
        known = ~np.isnan(error_km)
        order = np.argsort(agreement[known], kind="stable")
        agreement, right = agreement[known][order], error_km[known][order] < NEAR_KM
        bins = [part for part in np.array_split(np.arange(len(order)), _BINS) if len(part)]
        edges = [float(agreement[part[-1]]) for part in bins]
        shares = _rising([float(right[part].mean()) for part in bins], [len(part) for part in bins])
        return cls(quantiles, edges, shares, max(len(similarities), len(order)))

    def share_less_similar(self, similarity: float) -> float | None:
        """Return the share of held-out photos whose best candidate is at most this similar."""
        if not self.similarities:
            return None
        return float(np.interp(similarity, self.similarities, np.linspace(0, 1, len(self.similarities)), left=0.0))

    def share_right(self, agreement: float) -> float | None:
        """Return the share of right answers among held-out photos with about this agreement."""
        if not self.right:
            return None
        return float(self.right[min(int(np.searchsorted(self.agreements, agreement)), len(self.right) - 1)])

    def to_dict(self) -> dict[str, object]:
        """Return plain values, for YAML."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """Read what `to_dict` gave.

        Raises:
            GeorankerError: it is something else.
        """
        if not isinstance(values, Mapping):
            raise GeorankerError("calibration: not a mapping")
        try:
            return cls(**values)
        except TypeError as error:
            raise GeorankerError(f"calibration: {error}") from error


def agreement(scores: np.ndarray, distances_km: np.ndarray) -> float:
    """Return the share of softmaxed scores that lies near the answer.

    Args:
        scores: (K,) of all candidates; what is not finite has no share.
        distances_km: (K,) from the answer to each.
    """
    finite = np.isfinite(scores)
    if not finite.any():
        return 0.0
    weights = np.where(finite, np.exp(np.where(finite, scores, 0) - scores[finite].max()), 0)
    return float(weights[distances_km < NEAR_KM].sum() / weights.sum())


def _similarities(candidates: Path) -> np.ndarray:
    if not candidates.exists():
        return np.empty(0)
    lists = _columns(candidates, ["candidates"])["candidates"].combine_chunks()
    scores: np.ndarray = lists.flatten().field("score").to_numpy(zero_copy_only=False)
    starts = lists.offsets.to_numpy()[:-1] - lists.offsets[0].as_py()
    first: np.ndarray = scores[starts].astype(np.float64)
    return first


def _agreements(answers: Path) -> tuple[np.ndarray, np.ndarray]:
    table = _columns(answers, ["latitude", "longitude", "error_km", "candidates"])
    lists = table["candidates"].combine_chunks()
    offsets, structs = lists.offsets.to_numpy() - lists.offsets[0].as_py(), lists.flatten()
    rows = np.repeat(np.arange(len(lists)), np.diff(offsets))
    answer = np.stack([table[name].to_numpy() for name in ("latitude", "longitude")], axis=1)[rows]
    places = np.stack([structs.field(name).to_numpy(zero_copy_only=False) for name in ("latitude", "longitude")], 1)
    # Whole files at once: the sphere is within 0.5 % of the ellipsoid, which moves no candidate that matters.
    km = haversine_km(torch.from_numpy(answer), torch.from_numpy(places)).numpy()
    scores = structs.field("score").to_numpy(zero_copy_only=False).astype(np.float64)
    parts = itertools.pairwise(offsets)
    found = np.array([agreement(scores[start:end], km[start:end]) for start, end in parts])
    return found, table["error_km"].to_numpy().astype(np.float64)


def _columns(path: Path, names: Sequence[str]) -> pa.Table:
    try:
        return pq.read_table(path, columns=list(names)).select(list(names)).combine_chunks()
    except (OSError, KeyError, ValueError) as error:  # arrow's errors are ValueErrors
        raise GeorankerError(f"{path}: cannot be read ({error}); delete it, or make it again") from error


def _rising(values: Sequence[float], weights: Sequence[int]) -> list[float]:
    """Return the nearest sequence that never falls, by pooling neighbours that do (least squares)."""
    pools: list[list[float]] = []  # [value, weight, length]
    for value, weight in zip(values, weights, strict=True):
        pools.append([value, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            last, before = pools.pop(), pools.pop()
            total = last[1] + before[1]
            pools.append([(last[0] * last[1] + before[0] * before[1]) / total, total, last[2] + before[2]])
    return [value for value, _, length in pools for _ in range(int(length))]


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
