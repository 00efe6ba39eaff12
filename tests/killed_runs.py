"""Training that is killed at a known step, and what it leaves."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import Callback

from tests.conftest import ROOT


class Killed(Callback):
    """Kills its process before a step, when the checkpoint of the one before is whole.

    Args:
        step: counted from 0.
        by: the signal's number.
    """

    def __init__(self, step: int, by: int = int(signal.SIGKILL)) -> None:
        self.step, self.by = step, by

    def on_train_batch_start(self, trainer: L.Trainer, *args: object) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), self.by)


def killed(args: Sequence[str], step: int, checkpoints: Path, cwd: Path = ROOT) -> Path:
    """Run a command that trains until it is killed before a step, and return the checkpoint of that moment."""
    kept = every_checkpoint(checkpoints, "step-{step}", "--trainer.callbacks.every_n_train_steps=1")
    deadly = ["--trainer.callbacks+=tests.killed_runs.Killed", f"--trainer.callbacks.step={step}"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*args, *kept, *deadly], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return checkpoints / f"step-{step}.ckpt"


def every_checkpoint(folder: Path, name: str, when: str) -> list[str]:
    """Return flags that keep all checkpoints."""
    return [
        "--trainer.callbacks+=ModelCheckpoint",
        f"--trainer.callbacks.dirpath={folder}",
        f"--trainer.callbacks.filename={name}",
        "--trainer.callbacks.auto_insert_metric_name=False",
        "--trainer.callbacks.save_top_k=-1",
        "--trainer.callbacks.mode=max",  # nothing is monitored; it only tells this callback from the config's own
        when,
    ]


def losses(folder: Path) -> dict[int, float]:
    """Return the losses by step of all that was logged below a folder."""
    found: dict[int, float] = {}
    for file in sorted(folder.rglob("metrics.csv"), key=lambda file: file.stat().st_mtime):
        with file.open() as rows:
            for row in csv.DictReader(rows):
                if row.get("train/loss"):
                    found[int(row["step"])] = float(row["train/loss"])
    return found
