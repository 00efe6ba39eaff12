"""Shows the settings of runs beside the figures that they reached."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger


class HeadlineMetrics(Callback):
    """Gives TensorBoard's HPARAMS tab the settings of a run and its figures, after training and after the test.

    A setting has the name that it has in YAML, without `class_path` and `init_args`: `model.backbone` is the class,
    `model.backbone.width` its argument. What is null is left out. Switch the logger's own placeholder off:
    `TensorBoardLogger(default_hp_metric=False)`.

    Args:
        metrics: names that the module logs, of each stage that is to have a column.
    """

    def __init__(self, metrics: Sequence[str] = ("val/ranked/acc@200km", "test/ranked/acc@200km")) -> None:
        self.metrics = tuple(metrics)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the settings beside the figures of the last validation."""
        self._log(trainer, pl_module)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the settings beside the figures of the test."""
        self._log(trainer, pl_module)

    def _log(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if not (loggers and trainer.is_global_zero):
            return
        from torch.utils.tensorboard.summary import hparams

        # TensorBoard finds the figures by name among those that the module logged, and takes the columns from the
        # first summary that it meets; so all are named after training, those of the test too. The logger's own method
        # would name only figures that are there, and log each a second time.
        summaries = hparams(settings(trainer, pl_module), dict.fromkeys(self.metrics))  # type: ignore[no-untyped-call]
        for logger in loggers:
            for summary in summaries:
                logger.experiment.file_writer.add_summary(summary)
            logger.save()


def settings(trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, float | str]:
    """Return the settings of model, data and trainer, flat: numbers as they are, everything else as text."""
    data = getattr(trainer, "datamodule", None)
    flat = _flat("model", {"class_path": type(pl_module).__name__, "init_args": pl_module.hparams})
    if data is not None:
        flat |= _flat("data", {"class_path": type(data).__name__, "init_args": data.hparams})
    run = {
        "max_epochs": trainer.max_epochs,
        "max_steps": trainer.max_steps if trainer.max_steps >= 0 else None,
        "precision": trainer.precision,
        "accumulate_grad_batches": trainer.accumulate_grad_batches,
        "gradient_clip_val": trainer.gradient_clip_val,
        "processes": trainer.world_size,
    }
    seed = os.environ.get("PL_GLOBAL_SEED")
    return flat | _flat("trainer", run) | _flat("seed_everything", int(seed) if seed else None)


def _flat(name: str, value: object) -> dict[str, float | str]:
    if isinstance(value, Mapping) and "class_path" in value:
        arguments = _flat(name, value.get("init_args") or {})
        return {name: str(value["class_path"]).rpartition(".")[2], **arguments}
    if isinstance(value, Mapping):
        kept = {key: each for key, each in value.items() if not str(key).startswith("_")}  # Lightning's own
        return {flat: each for key in kept for flat, each in _flat(f"{name}.{key}", kept[key]).items()}
    if isinstance(value, list | tuple) and any(isinstance(each, list | tuple | Mapping) for each in value):
        return {flat: each for at, part in enumerate(value) for flat, each in _flat(f"{name}.{at}", part).items()}
    if value is None:
        return {}
    if isinstance(value, list | tuple):
        return {name: ", ".join(str(each) for each in value)}
    return {name: value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)}
