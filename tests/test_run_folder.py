"""What training leaves in a run's folder, and what later commands leave alone."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from georanker.cli import run_trainer
from tests.conftest import ROOT, SMALL
from tests.test_resume import PAUSES, command

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


@pytest.mark.parametrize(
    "awaited", ["**/ranker.ckpt", "**/metrics.csv"], ids=["with a checkpoint", "before there is one"]
)
def test_interrupted(awaited: str, small_run: Path, small_data: list[str], tmp_path: Path) -> None:
    (tmp_path / "pauses.py").write_text(PAUSES)
    args = command(tmp_path, small_data, "--trainer.callbacks+=pauses.Pauses")
    with (tmp_path / "told").open("w") as file:
        process = subprocess.Popen(args, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=file)
    try:
        while process.poll() is None and not list(tmp_path.glob(awaited)):
            time.sleep(0.05)
        time.sleep(0.1)  # the file is there; let it be whole
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    found = list(tmp_path.rglob("*.ckpt"))
    assert len(found) == ("ranker" in awaited)
    hint = f"; `georanker fit` goes on with --ckpt_path {found[0]}" if found else ""
    assert (tmp_path / "told").read_text().splitlines()[-1] == f"georanker: interrupted{hint}"


def _fitted(args: list[str], checkpoint: Path) -> bytes:
    run_trainer(["fit", *args])
    return checkpoint.read_bytes()


def _seed(config: Path) -> object:
    return yaml.safe_load(config.read_text())["seed_everything"]
