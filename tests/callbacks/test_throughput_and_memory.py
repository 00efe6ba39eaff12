"""Photos and candidates are counted over the seconds of training, and of nothing else."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from georanker.callbacks import ThroughputAndMemory
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from torch.utils.data import DataLoader, TensorDataset

from georanker.ranker import Ranker
from tests.callbacks.pictures import loader, ranker, some_lists, trainer


class Kept(Logger):
    """Remembers what the callback logs."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: dict[int, dict[str, float]] = {}

    @property
    def name(self) -> str:
        return "kept"

    @property
    def version(self) -> str:
        return "0"

    def log_hyperparams(self, *args: Any) -> None:
        """Nobody asks."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if any(name.startswith("memory/") for name in metrics):
            assert step is not None
            assert step not in self.logged
            self.logged[step] = dict(metrics)


class Clock(Callback):
    """A clock on which a batch of training takes two seconds, and a validation a thousand."""

    def __init__(self) -> None:
        self.now = 0.0

    def on_train_batch_start(self, *args: object) -> None:
        self.now += 2.0

    def on_validation_end(self, *args: object) -> None:
        self.now += 1000.0

    def on_train_epoch_end(self, *args: object) -> None:
        self.now += 1000.0


def fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> tuple[Kept, Ranker]:
    clock, kept, module = Clock(), Kept(), ranker()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    made = trainer(tmp_path, ThroughputAndMemory(), clock, logger=kept, **settings)
    found = loader(module, some_lists(48, 4))  # six batches of eight lists, with twenty candidates in each
    made.fit(module, found, found)
    return kept, module


def test_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, _ = fitted(tmp_path, monkeypatch, log_every_n_steps=3, max_epochs=2, val_check_interval=2)
    assert sorted(kept.logged) == [2, 5, 8, 11]
    for figures in kept.logged.values():
        assert figures["throughput/photos_per_second"] == pytest.approx(8 / 2)
        assert figures["throughput/candidates_per_second"] == pytest.approx(20 / 2)
        assert 0.05 < figures["memory/process_gib"] < 64


def test_batches_that_share_a_step_are_logged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, _ = fitted(tmp_path, monkeypatch, log_every_n_steps=1, accumulate_grad_batches=3)
    assert sorted(kept.logged) == [0, 1]
    assert kept.logged[1]["throughput/photos_per_second"] == pytest.approx(8 / 2)


def test_without_a_logger_nothing_is_counted(tmp_path: Path) -> None:
    callback, module = ThroughputAndMemory(), ranker()
    trainer(tmp_path, callback).fit(module, loader(module, some_lists()), loader(module, some_lists()))
    assert vars(ThroughputAndMemory()).items() <= vars(callback).items()


def test_batches_of_other_kinds_are_not_counted(tmp_path: Path) -> None:
    class Plain(L.LightningModule):
        """Trains on plain tensors."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))

        def training_step(self, batch: list[torch.Tensor], batch_idx: int) -> torch.Tensor:
            return (self.weight * batch[0]).sum()

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), 0.1)

    kept = Kept()
    made = trainer(tmp_path, ThroughputAndMemory(), logger=kept, log_every_n_steps=1)
    made.fit(Plain(), DataLoader(TensorDataset(torch.ones(3, 2))))
    assert not kept.logged
