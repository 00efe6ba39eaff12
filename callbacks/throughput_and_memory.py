"""How fast a run is, and how much memory it takes."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from georanker.types import Batch, RankingBatch


class ThroughputAndMemory(Callback):
    """Logs photos and candidates a second, and memory, each `trainer.log_every_n_steps` steps of training.

    The seconds are those from the end of one batch to the end of the next, loading included; validation and what else
    happens between epochs is left out. Photos and candidates are those of all processes, which have equal shares;
    memory is that of the first process, and the GPU's the highest since the last time. Nothing waits for a GPU but
    the logging itself.

    Lightning's ThroughputMonitor and DeviceStatsMonitor do other things: the one waits for the GPU in each step, says
    nothing in the first hundred, and knows no candidates; the other logs the memory of the whole machine.
    """

    def __init__(self) -> None:
        self._begin()
        self._since: float | None = None
        self._logged_step = 0

    def _begin(self) -> None:
        self._seconds, self._photos = 0.0, 0
        self._candidates: Tensor | int = 0

    def _pause(self) -> None:
        self._since = None

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock with the end of the first batch."""
        self._pause()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock again with the end of the next batch."""
        self._pause()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count a batch; log when it is time."""
        if not (trainer.is_global_zero and trainer.loggers and isinstance(batch, Batch)):
            return
        now, before = time.perf_counter(), self._since
        self._since = now
        if before is not None:
            self._seconds += now - before
            self._photos += len(batch)
            if isinstance(batch, RankingBatch):
                self._candidates = self._candidates + batch.mask.sum()
        step, every = trainer.global_step, trainer.log_every_n_steps  # type: ignore[attr-defined]
        if step % every == 0 and step != self._logged_step and self._photos:
            self._log(trainer, step)

    def _log(self, trainer: L.Trainer, step: int) -> None:
        import psutil  # type: ignore[import-untyped]

        figures = {
            "throughput/photos_per_second": self._photos * trainer.world_size / self._seconds,
            "memory/process_gib": psutil.Process().memory_info().rss / 2**30,
        }
        candidates = int(self._candidates)
        if candidates:
            figures["throughput/candidates_per_second"] = candidates * trainer.world_size / self._seconds
        device = trainer.strategy.root_device
        if device.type == "cuda":
            figures["memory/gpu_peak_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
            torch.cuda.reset_peak_memory_stats(device)
        for logger in trainer.loggers:
            logger.log_metrics(figures, step - 1)  # as Lightning counts
        self._logged_step = step
        self._begin()
