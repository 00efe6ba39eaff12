"""Every YAML parses, and every experiment runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from georanker.cli import main, run_trainer
from tests.conftest import ROOT, SMALL

CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
EXPERIMENTS = sorted((ROOT / "configs/experiment").glob("*.yaml"))


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
    "loss": "--model.loss",
    "trainer": "--trainer",
    "callbacks": "--trainer.callbacks",
}


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_config_parses(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = [f"--config={ROOT / 'configs/experiment/blue_marble.yaml'}"]
    with pytest.raises(SystemExit) as exit_:
        main(["fit", *base, f"{FLAGS[file.parent.name]}={file}", "--print_config"])
    assert exit_.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert {"model", "data", "trainer"} <= set(printed)


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
        if re.search(r":\s+\[?-?\.?\d", setting):
            assert comment.strip(), f"{file.name}: {line.strip()!r} says not where its number comes from"
