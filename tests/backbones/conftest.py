"""Candidate lists of many kinds, and the gallery that they count in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from georanker.types import Candidate, CandidateList, Photo, Place

DIM = 128
ROWS = 40


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The vectors of a gallery, of length one."""
    folder = tmp_path_factory.mktemp("gallery")
    random = np.random.default_rng(0)
    for name in ("embeddings", "location_embeddings"):
        vectors = random.normal(size=(ROWS, DIM)).astype(np.float32)
        np.save(folder / f"{name}.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    return folder


@pytest.fixture(scope="session")
def lists(gallery: Path) -> Callable[[int, int], list[CandidateList]]:
    """Make lists from a count and a seed: of 1 to 9 candidates, near and far, some guessed, some without truth."""

    def make(count: int, seed: int) -> list[CandidateList]:
        random = np.random.default_rng(seed)

        def place(around: Place | None = None) -> Place:
            if around and random.random() < 0.5:
                step = random.normal(size=2) * 10 ** random.uniform(-3, 1)
                near = np.clip([around.latitude + step[0], around.longitude + step[1]], [-90, -180], [90, 180])
                return Place(float(near[0]), float(near[1]))
            latitude = float(np.rad2deg(np.arcsin(random.uniform(-1, 1))))
            return Place(latitude, float(random.uniform(-180, 180)))

        found = []
        for number in range(count):
            truth = place() if random.random() < 0.8 else None
            candidates = [
                Candidate(place(truth), float(np.float32(random.normal())), None, int(random.integers(ROWS)))
                for _ in range(random.integers(1, 9))
            ]
            if random.random() < 0.5:
                candidates.append(Candidate(candidates[0].place, 0.25, source="guessed"))
            embedding = random.normal(size=DIM).astype(np.float32)
            found.append(
                CandidateList(
                    Photo(f"{seed}/{number}", truth),
                    tuple(candidates),
                    embedding=embedding / np.linalg.norm(embedding),
                    gallery=str(gallery),
                )
            )
        return found

    return make
