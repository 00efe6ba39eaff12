"""A progress bar that shows progress."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar


class CalmProgressBar(RichProgressBar):
    """Lightning's bar on one line: without the logger's version number."""

    def get_metrics(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what stands beside the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics
