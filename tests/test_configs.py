"""Every YAML parses, and every experiment runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from georanker.cli import run_trainer
from georanker.discovery import all_classes
from tests.conftest import ROOT, SMALL

CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
EXPERIMENTS = sorted((ROOT / "configs/experiment").glob("*.yaml"))


def pointed(file: Path) -> set[Path]:
    """Return the files that a config points to."""

    def strings(node: object) -> list[str]:
        if isinstance(node, dict):
            return [text for each in node.values() for text in strings(each)]
        if isinstance(node, list):
            return [text for each in node for text in strings(each)]
        return [node] if isinstance(node, str) else []

    texts = strings(yaml.safe_load(file.read_text()))
    return {(file.parent / text).resolve() for text in texts if text.endswith(".yaml")}


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_experiments_only_point(file: Path) -> None:
    content = yaml.safe_load(file.read_text())
    assert all(isinstance(value, str | int) for value in content.values()), "settings belong into the files pointed to"
    assert len(content) <= 6


def test_each_config_is_used_or_can_be() -> None:
    used = {target for file in CONFIGS for target in pointed(file)}
    missing = [path for path in used if not path.exists()]
    assert not missing
    # What no shipped experiment points to is an alternative, such as a loss: it must name a class that exists.
    names = {found.__name__ for found in all_classes()}
    for file in set(CONFIGS) - set(EXPERIMENTS) - used:
        assert yaml.safe_load(file.read_text())["class_path"] in names, file


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_experiment_runs(file: Path, small_run: Path, small_data: list[str], tmp_path: Path) -> None:
    data = [*SMALL, f"--data.cache={small_run / 'cache'}"] if "retriever" in file.stem else small_data
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
        if re.search(r":\s+\[?-?[\d.]", setting):
            assert comment.strip(), f"{file.name}: {line.strip()!r} says not where its number comes from"
