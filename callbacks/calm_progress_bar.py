"""A progress bar that shows progress."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar
from rich.progress import ProgressColumn, Task, TaskID
from rich.text import Text

from georanker.data.base import GeoDataModule

_SECONDS_OF_SPEED = 600.0  # a mean over ten minutes, or Rich's last thousand batches, so that the time left is calm
_SECONDS_A_LINE = 60.0  # where there is no terminal


class CalmProgressBar(RichProgressBar):
    """Lightning's bar on one line: without the logger's version number, and for `predict` in photos.

    `predict` shows how many photos are answered, those of an earlier run and of other processes included, photos a
    second, and the time left. Where nobody looks, in a file or a cluster's log, it tells so once a minute.
    """

    def get_metrics(
        self, trainer: L.Trainer, pl_module: L.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what stands beside the bar."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics

    def configure_columns(self, trainer: L.Trainer) -> list[Any]:
        """Return the columns of the bar."""
        columns: list[Any] = super().configure_columns(trainer)
        return [*columns[:2], _Photos()] if trainer.predicting and _data(trainer) is not None else columns

    def _add_task(self, total_batches: int | float, description: str, visible: bool = True) -> TaskID:
        data = _data(self.trainer)
        if not self.trainer.predicting or data is None:
            return super()._add_task(total_batches, description, visible)
        assert self.progress is not None
        self.progress.speed_estimate_period = _SECONDS_OF_SPEED
        self._told_at = time.monotonic()
        limit = int(total_batches) * data.batch_size * self.trainer.world_size
        return self.progress.add_task(
            description, total=data.answered + min(data.left, limit), completed=data.answered, visible=visible
        )

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Move the bar by the photos of a batch; the other processes, with equal shares, are about as far."""
        task = self._photo_task(trainer)
        if task is None:
            super().on_predict_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)
            return
        assert self.progress is not None
        done = int(task.completed) + len(batch) * trainer.world_size
        self._update(task.id, min(done, int(task.total or 0)))
        if not self.progress.console.is_terminal and time.monotonic() - self._told_at >= _SECONDS_A_LINE:
            self._told_at = time.monotonic()
            self.progress.console.print(f"{task.description} {_told(task)}", highlight=False)

    def _photo_task(self, trainer: L.Trainer) -> Task | None:
        if self.is_disabled or self.progress is None or self.predict_progress_bar_id is None:
            return None
        return self.progress.tasks[self.predict_progress_bar_id] if _data(trainer) is not None else None


class _Photos(ProgressColumn):
    """How many, how fast, how long still."""

    def render(self, task: Task) -> Text:
        return Text(_told(task))


def _data(trainer: L.Trainer) -> GeoDataModule | None:
    data = getattr(trainer, "datamodule", None)
    return data if isinstance(data, GeoDataModule) else None


def _told(task: Task) -> str:
    told = f"{int(task.completed):,}/{int(task.total or 0):,} photos"
    if not task.speed or task.time_remaining is None:
        return told
    speed = f"{task.speed:,.0f}" if task.speed >= 10 else f"{task.speed:.2g}"
    return f"{told} • {speed} photos/s • {timedelta(seconds=int(task.time_remaining))} left"
