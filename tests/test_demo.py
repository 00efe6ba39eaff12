"""The demo on a small world of one's own, as a user calls it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from georanker.cli import main
from georanker.stages import Stages
from georanker.types import GeorankerError
from tests.conftest import ROOT

DATA = """
class_path: BlueMarble
init_args:
  gallery_size: 80
  retriever_train_size: 64
  train_size: 32
  val_size: 16
  test_size: 24
  batch_size: 16
  cache: {cache}
"""
EXPERIMENT = """
seed_everything: 0
data: data.yaml
model: {configs}/{model}.yaml
trainer:
  accelerator: cpu
  max_epochs: 1
  logger:
    class_path: TensorBoardLogger
    init_args: {{save_dir: runs, name: logs, default_hp_metric: false}}
  callbacks: {configs}/callbacks/{callbacks}.yaml
"""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    (folder / "data.yaml").write_text(DATA.format(cache=folder / "cache"))
    names = {"mine": ("ranker/embedding", "ranker"), "mine_retriever": ("retriever/contrastive", "retriever")}
    for name, (model, callbacks) in names.items():
        text = EXPERIMENT.format(configs=ROOT / "configs", model=model, callbacks=callbacks)
        (folder / f"{name}.yaml").write_text(text)
    return folder / "mine.yaml"


def demo(experiment: Path, run: str, *more: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    args = [sys.executable, "-m", "georanker", "demo", f"--experiment={experiment}", f"--run={run}", *more]
    return subprocess.run(args, cwd=folder or experiment.parent, capture_output=True, text=True)


@pytest.fixture(scope="module")
def first(experiment: Path) -> subprocess.CompletedProcess[str]:
    done = demo(experiment, "runs/one")
    assert done.returncode == 0, done.stderr
    return done


def test_everything_is_there(experiment: Path, first: subprocess.CompletedProcess[str]) -> None:
    run = experiment.parent / "runs/one"
    figures = json.loads((run / "metrics.json").read_text())
    assert set(figures) == {"retrieved", "ranked", "oracle", "settings", "seconds"}
    assert "Training the ranker" in figures["seconds"]
    errors = pq.read_table(run / "predictions.parquet")["error_km"].to_pylist()
    assert len(errors) == 24
    assert figures["ranked"]["acc@2500km"] == pytest.approx(sum(error < 2500 for error in errors) / 24)
    assert f"{100 * figures['ranked']['acc@2500km']:.1f}" in first.stdout
    for row in ("retrieved", "ranked", "oracle", "ranking gained"):
        assert f"\n{row} " in first.stdout
    with Image.open(run / "map.png") as image:
        assert image.width > 1000
        assert len(image.convert("RGB").resize((200, 100)).getcolors(20000) or []) > 500
    page = (run / "report.html").read_text()
    assert f"report       {Path('runs/one/report.html')}" in first.stdout
    for answer in ("retrieved", "ranked", "oracle"):
        assert f'<td class="{answer}">{100 * figures[answer]["acc@2500km"]:.1f}</td>' in page
    assert page.count("data:image/jpeg;base64,") > 24  # the photos that were asked about, and candidates
    assert list((run / "logs").rglob("events.out.tfevents.*"))
    assert not list(run.rglob("*.part"))


def test_a_second_call_reuses_what_is_finished(experiment: Path, first: subprocess.CompletedProcess[str]) -> None:
    run = experiment.parent / "runs/one"
    files = {
        path: path.stat().st_mtime_ns for path in run.rglob("*") if path.name not in ("metrics.json", "stages.json")
    }
    again = demo(Path(f"./{experiment.name}"), "runs/one", folder=experiment.parent)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("done before") == 8
    assert {path: path.stat().st_mtime_ns for path in files} == files
    table = first.stdout[first.stdout.index("% of photos") :]
    assert again.stdout[again.stdout.index("% of photos") :] == table


def test_other_settings_do_not_mix(experiment: Path, first: subprocess.CompletedProcess[str]) -> None:
    again = demo(experiment, "runs/one", "--seed=1")
    assert again.returncode == 1
    assert len(again.stderr.splitlines()) == 1
    assert "holds a run with other settings" in again.stderr


def test_a_run_without_its_record_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    (tmp_path / "retriever.ckpt").touch()
    with pytest.raises(GeorankerError, match=r"no stages\.json that says what made them; name another --run"):
        Stages(tmp_path, {"seed": 7}, Console())
    assert not (tmp_path / "stages.json").exists()
    Stages(tmp_path / "new", {"seed": 7}, Console())
    Stages(tmp_path / "new", {"seed": 7}, Console())


def test_a_stage_that_leaves_nothing(tmp_path: Path) -> None:
    stages = Stages(tmp_path / "run", {}, Console())
    with pytest.raises(GeorankerError, match=r"Answering: ended without .*answers"):
        stages.run("Answering", tmp_path / "run/answers", lambda: None)
    assert not stages.seconds


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("callbacks: .*", "callbacks: [CalmProgressBar]", "mine.yaml: trainer.callbacks lacks PredictionWriter"),
        ("max_epochs: 1", "enable_checkpointing: false", "mine.yaml: trainer.enable_checkpointing is off"),
        ("max_epochs: 1", "max_epoch: 1", "mine.yaml, line 7: 'max_epoch' is not an option"),
    ],
)
def test_a_mistake_in_the_rankers_config_costs_no_training(
    old: str, new: str, said: str, experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in experiment.parent.glob("*.yaml"):
        (tmp_path / file.name).write_text(file.read_text())
    text = re.sub(old, new, experiment.read_text())
    (tmp_path / "mine.yaml").write_text(text if "lacks" in said else re.sub("  callbacks: .*", "", text))
    with pytest.raises(SystemExit):
        main(["demo", f"--experiment={tmp_path / 'mine.yaml'}", f"--run={tmp_path / 'run'}"])
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["half a", "[]", "{}"])
def test_a_record_that_cannot_be_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "stages.json").write_text(text)
    with pytest.raises(GeorankerError, match=r"stages\.json: cannot be read .*; delete the run folder"):
        Stages(tmp_path, {}, Console())
    assert (tmp_path / "stages.json").read_text() == text


def test_the_seed_fixes_the_result(experiment: Path, first: subprocess.CompletedProcess[str]) -> None:
    assert demo(experiment, "runs/two").returncode == 0
    runs = [json.loads((experiment.parent / name / "metrics.json").read_text()) for name in ("runs/one", "runs/two")]
    assert runs[0]["ranked"] == runs[1]["ranked"]
    assert runs[0]["retrieved"] == runs[1]["retrieved"]


def test_an_experiment_that_is_not_there(tmp_path: Path) -> None:
    done = demo(tmp_path / "nowhere.yaml", "runs/three")
    assert done.returncode == 1
    assert "shipped experiments are blue_marble, blue_marble_demo\n" in done.stderr
    assert not (tmp_path / "runs").exists()
