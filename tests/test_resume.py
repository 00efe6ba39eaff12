"""A run that is killed goes on with the same losses as one that was not."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT, SMALL

# 48 lists in batches of 16 make 3 steps an epoch; the pauses leave time to kill the process between two of them.
EPOCHS, STEPS = 3, 9
PAUSES = """
import time
from lightning.pytorch.callbacks import Callback

class Pauses(Callback):
    def on_train_batch_end(self, *args):
        time.sleep(0.5)
"""


def command(folder: Path, small_data: list[str], *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "georanker", "fit"),
        f"--config={ROOT / 'configs/experiment/blue_marble_demo.yaml'}",
        *small_data,
        f"--trainer.default_root_dir={folder}",
        f"--trainer.max_epochs={EPOCHS}",
        "--trainer.log_every_n_steps=1",
        "--trainer.num_sanity_val_steps=0",
        "--trainer.logger=CSVLogger",
        f"--trainer.logger.save_dir={folder}",
        "--trainer.logger.flush_logs_every_n_steps=1",
        *more,
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


@contextmanager
def started(args: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(args, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def finished(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing disturbed, with a checkpoint of each epoch."""
    folder = tmp_path_factory.mktemp("finished")
    data = [f"--data.candidates={small_run / 'candidates'}", f"--data.cache={small_run / 'cache'}", *SMALL]
    checkpoints = every_checkpoint(folder / "epochs", "epoch-{epoch}", "--trainer.callbacks.every_n_epochs=1")
    subprocess.run(command(folder, data, *checkpoints), check=True, cwd=folder, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def undisturbed(finished: Path) -> dict[int, float]:
    found = losses(finished)
    assert sorted(found) == list(range(STEPS))
    assert len(set(found.values())) == STEPS
    return found


def every_checkpoint(folder: Path, name: str, when: str) -> list[str]:
    return [
        "--trainer.callbacks+=ModelCheckpoint",
        f"--trainer.callbacks.dirpath={folder}",
        f"--trainer.callbacks.filename={name}",
        "--trainer.callbacks.auto_insert_metric_name=False",
        "--trainer.callbacks.save_top_k=-1",
        "--trainer.callbacks.mode=max",  # nothing is monitored; it only tells this callback from the config's own
        when,
    ]


@pytest.mark.parametrize("killed_after", [4, 5], ids=["in the middle of an epoch", "at the end of an epoch"])
def test_killed(killed_after: int, undisturbed: dict[int, float], small_data: list[str], tmp_path: Path) -> None:
    (tmp_path / "pauses.py").write_text(PAUSES)
    checkpoints = every_checkpoint(tmp_path / "steps", "step-{step}", "--trainer.callbacks.every_n_train_steps=1")
    checkpoints.append("--trainer.callbacks+=pauses.Pauses")
    with started(command(tmp_path, small_data, *checkpoints), tmp_path) as process:
        wanted = tmp_path / "steps" / f"step-{killed_after + 1}.ckpt"
        for _ in range(600):
            if wanted.exists() or process.poll() is not None:
                break
            time.sleep(0.1)
        time.sleep(0.2)  # the file is there; let it be whole
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert wanted.exists()
    assert max(losses(tmp_path)) < STEPS - 1, "the run ended before it was killed"

    again = tmp_path / "again"
    again.mkdir()
    subprocess.run(command(again, small_data, f"--ckpt_path={wanted}"), check=True, cwd=tmp_path, capture_output=True)
    resumed = losses(again)
    assert sorted(resumed) == list(range(killed_after + 1, STEPS))
    assert resumed == {step: undisturbed[step] for step in resumed}


def test_resumed_after_validation(
    undisturbed: dict[int, float], finished: Path, small_data: list[str], tmp_path: Path
) -> None:
    """From the checkpoint that Lightning writes when an epoch and its validation are over."""
    checkpoint = f"--ckpt_path={finished / 'epochs' / 'epoch-0.ckpt'}"
    subprocess.run(command(tmp_path, small_data, checkpoint), check=True, cwd=tmp_path, capture_output=True)
    assert losses(tmp_path) == {step: undisturbed[step] for step in range(3, STEPS)}
