"""Makes dropout a function of the step."""

from __future__ import annotations

import os
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback


class StepSeed(Callback):
    """Seeds torch before each training step from (seed, epoch, batch, process).

    Lightning restores no random states when it resumes. With this callback there is none to restore: a run that was
    killed goes on with the same dropout, and thus the same losses, as one that was not.

    Args:
        seed: None for that of seed_everything.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 0)) if seed is None else seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed the step."""
        entropy = (self.seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1))
