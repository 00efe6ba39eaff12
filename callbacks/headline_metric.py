"""Shows the settings of runs beside the figure that they reached."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger


class HeadlineMetric(Callback):
    """Logs the hyperparameters to TensorBoard together with one metric, so that its HPARAMS tab can sort by it.

    Switch the logger's own placeholder off: `TensorBoardLogger(default_hp_metric=False)`.

    Args:
        metric: the name that the module logs.
    """

    def __init__(self, metric: str = "val/ranked/acc@200km") -> None:
        self.metric = metric

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the last value; nothing if the metric was never logged."""
        value = trainer.callback_metrics.get(self.metric)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and value is not None:
                logger.log_hyperparams(dict(pl_module.hparams), {self.metric: value.item()})
                logger.save()
