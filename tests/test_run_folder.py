"""What training leaves in a run's folder, and what later commands leave alone."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from georanker.cli import run_trainer
from tests.conftest import ROOT, SMALL
from tests.test_resume import command

DEMO = f"--config={ROOT / 'configs/experiment/blue_marble_demo.yaml'}"
RETRIEVER = f"--config={ROOT / 'configs/experiment/blue_marble_demo_retriever.yaml'}"


def test_a_second_training_replaces_the_first_and_testing_keeps_its_config(
    small_run: Path, small_data: list[str], tmp_path: Path
) -> None:
    folder = [f"--trainer.default_root_dir={tmp_path}", f"--trainer.logger.save_dir={tmp_path}"]
    short = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=1"]
    photos = [*SMALL, f"--data.cache={small_run / 'cache'}"]
    for name, args in (("ranker", [DEMO, *small_data]), ("retriever", [RETRIEVER, *photos])):
        logs = tmp_path / "logs" / name
        wanted = logs / f"checkpoints/{name}.ckpt"
        first, second = (_fitted([*args, *folder, *short, f"--seed_everything={seed}"], wanted) for seed in (0, 1))
        assert first != second
        assert list(wanted.parent.iterdir()) == [wanted]
        assert _seed(logs / "config.yaml") == 1
    logs = tmp_path / "logs/ranker"
    checkpoint = f"--ckpt_path={logs / 'checkpoints/ranker.ckpt'}"
    run_trainer(["test", DEMO, *small_data, *folder, checkpoint, "--seed_everything=2", "--verbose=False"])
    assert _seed(logs / "config.yaml") == 1, "the settings of the training"
    assert _seed(logs / "test_config.yaml") == 2


@pytest.mark.parametrize("step", [4, 1], ids=["with a checkpoint", "before there is one"])
def test_interrupted(step: int, small_data: list[str], tmp_path: Path) -> None:
    """Epochs have three steps, and each ends with a checkpoint."""
    stops = ["--trainer.callbacks+=tests.killed_runs.Killed", f"--trainer.callbacks.step={step}"]
    args = command(tmp_path, small_data, *stops, f"--trainer.callbacks.by={int(signal.SIGINT)}")
    done = subprocess.run(
        args, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 130
    found = list(tmp_path.rglob("*.ckpt"))
    assert len(found) == (step > 3)
    hint = f"; `georanker fit` goes on with --ckpt_path {found[0]}" if found else ""
    assert done.stderr.splitlines()[-1] == f"georanker: interrupted{hint}"


def _fitted(args: list[str], checkpoint: Path) -> bytes:
    run_trainer(["fit", *args])
    return checkpoint.read_bytes()


def _seed(config: Path) -> object:
    return yaml.safe_load(config.read_text())["seed_everything"]
