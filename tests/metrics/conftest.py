"""Batches that the laws of the room are tested on: far and near, missing answers, lists of many lengths."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

Batch = tuple[Tensor, ...]
MakeBatch = Callable[[int, int], Batch]


def _places(photos: int, seed: int) -> Batch:
    """(predicted, truth): errors from metres to half the Earth, the first answer of each batch missing."""
    random = torch.Generator().manual_seed(seed)
    truth = torch.rand(photos, 2, generator=random, dtype=torch.float64) * 120 - 60
    step = 10 ** (torch.rand(photos, 1, generator=random, dtype=torch.float64) * 6 - 4.5)
    predicted = truth + step.clamp(max=28.0) * torch.tensor([1.0, -1.0])
    predicted[:1] = torch.nan
    return predicted, truth


def _lists(photos: int, seed: int) -> Batch:
    """(scores, distances_km, mask): 8 columns, NaN in padding, tied scores; the last list is empty."""
    random = torch.Generator().manual_seed(seed)
    distances_km = 10 ** (torch.rand(photos, 8, generator=random, dtype=torch.float64) * 5 - 1)
    scores = -(distances_km.log() + 2 * torch.randn(photos, 8, generator=random)).round().float()
    lengths = torch.randint(1, 9, (photos, 1), generator=random)
    lengths[-1] = 0
    mask = torch.arange(8) < lengths
    return scores.masked_fill(~mask, torch.nan), distances_km.masked_fill(~mask, torch.nan), mask


@pytest.fixture
def places() -> MakeBatch:
    return _places


@pytest.fixture
def lists() -> MakeBatch:
    return _lists
