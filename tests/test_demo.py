"""The demo on a small world of one's own, as a user calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

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


def demo(experiment: Path, run: str, *more: str) -> subprocess.CompletedProcess[str]:
    args = [sys.executable, "-m", "georanker", "demo", f"--experiment={experiment}", f"--run={run}", *more]
    return subprocess.run(args, cwd=experiment.parent, capture_output=True, text=True)


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
    again = demo(experiment, "runs/one")
    assert again.returncode == 0
    assert again.stdout.count("done before") == 8
    assert {path: path.stat().st_mtime_ns for path in files} == files
    table = first.stdout[first.stdout.index("% of photos") :]
    assert again.stdout[again.stdout.index("% of photos") :] == table


def test_other_settings_do_not_mix(experiment: Path, first: subprocess.CompletedProcess[str]) -> None:
    again = demo(experiment, "runs/one", "--seed=1")
    assert again.returncode == 1
    assert len(again.stderr.splitlines()) == 1
    assert "holds a run with other settings" in again.stderr


@pytest.mark.parametrize("text", ["half a", "[]", "{}"])
def test_a_record_that_cannot_be_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "stages.json").write_text(text)
    with pytest.raises(GeorankerError, match=r"stages\.json: cannot be read .*; delete it"):
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
    assert "shipped experiments are blue_marble, blue_marble_demo" in done.stderr
    assert not (tmp_path / "runs").exists()
