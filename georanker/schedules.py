"""Learning rates over a training whose length the trainer knows."""

from __future__ import annotations

from collections.abc import Callable

import lightning as L
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

Schedule = Callable[[Optimizer, int], LRScheduler]
"""Makes a schedule from the optimizer and the number of steps; it is stepped once a batch."""


def scheduled(optimizer: Optimizer, schedule: Schedule | None, trainer: L.Trainer) -> OptimizerLRScheduler:
    """Return what `configure_optimizers` returns: an optimizer, with its schedule over the trainer's steps if any."""
    if schedule is None:
        return optimizer
    made = schedule(optimizer, int(trainer.estimated_stepping_batches))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": made, "interval": "step"}}


class LinearDecay(LambdaLR):
    """Rises linearly over the first steps, then falls linearly to 0 at the last one.

    Source: GeoRanker trains so, without a rise (arXiv 2505.13731).

    Args:
        optimizer: whose learning rates are scaled.
        total_steps: of the training.
        warmup: the share of the steps in which the rate rises, in [0, 1).
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: float = 0.0) -> None:
        if not 0 <= warmup < 1:
            raise ValueError(f"warmup must be a share of the steps in [0, 1), not {warmup:g}")
        rise = warmup * total_steps

        def factor(step: int) -> float:
            if step < rise:
                return (step + 1) / (rise + 1)
            return max(0.0, (total_steps - step) / max(1.0, total_steps - rise))

        super().__init__(optimizer, factor)
