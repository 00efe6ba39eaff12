"""A step's seed depends on seed, epoch, batch and process, and on nothing that went before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import lightning as L
import torch
from georanker.callbacks import StepSeed


def drawn(seed: int, epoch: int, batch: int, rank: int = 0) -> float:
    torch.rand(7)  # what went before
    trainer = cast(L.Trainer, SimpleNamespace(current_epoch=epoch, global_rank=rank))
    StepSeed(seed).on_train_batch_start(trainer, L.LightningModule(), None, batch)
    return torch.rand(1).item()


def test_law() -> None:
    cases = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)]
    draws = [drawn(*case) for case in cases]
    assert len(set(draws)) == len(cases)
    assert draws == [drawn(*case) for case in cases]
