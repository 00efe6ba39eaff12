"""A run that is killed goes on with the same losses as one that was not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, SMALL
from tests.killed_runs import every_checkpoint, killed, losses

# 48 lists in batches of 16 make 3 steps an epoch.
EPOCHS, STEPS = 3, 9


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


@pytest.mark.parametrize("killed_after", [4, 5], ids=["in the middle of an epoch", "at the end of an epoch"])
def test_killed(killed_after: int, undisturbed: dict[int, float], small_data: list[str], tmp_path: Path) -> None:
    wanted = killed(command(tmp_path, small_data), killed_after + 1, tmp_path / "steps", cwd=tmp_path)
    assert max(losses(tmp_path)) == killed_after

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
