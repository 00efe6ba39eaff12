"""Each benchmark that carries candidates runs with each backbone that needs nothing but them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from georanker.cli import run_trainer
from tests.conftest import ROOT
from tests.miniatures import write_miniatures
from tests.test_configs import ONE_CPU, with_tiny_vlm

BENCHMARKS = ("im2gps3k", "im2gps3k_neighbours", "yfcc4k", "geo_ranking")
BACKBONES = ("SimilarityBackbone", "ConsensusBackbone", "VLMBackbone")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the miniatures where the configs look for them."""
    folder = tmp_path_factory.mktemp("machine")
    write_miniatures(folder / "dataset")
    return folder


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("benchmark_", BENCHMARKS)
def test_runs(
    benchmark_: str, backbone: str, machine: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(machine)
    model = [f"--model={ROOT / 'configs/ranker/georanker.yaml'}", *with_tiny_vlm(tiny("qwen2_vl"))]
    if backbone != "VLMBackbone":
        model = ["--model=Ranker", f"--model.backbone={backbone}"]
    run = machine / benchmark_ / backbone
    data = [f"--data={ROOT / f'configs/data/{benchmark_}.yaml'}", "--data.num_workers=0", "--data.batch_size=4"]
    trainer = [f"--trainer={ROOT / 'configs/trainer/cpu.yaml'}", *ONE_CPU, f"--trainer.default_root_dir={run}"]
    common = [*data, *model, *trainer, "--trainer.logger=False", "--trainer.max_epochs=1"]
    if benchmark_ == "geo_ranking" and backbone == "VLMBackbone":
        run_trainer(["fit", *common, "--trainer.limit_train_batches=2"])
    assert "test/ranked/acc@25km" in run_trainer(["test", *common]).trainer.callback_metrics
    cli = run_trainer(["predict", *common])
    assert pq.read_metadata(run / "predictions.parquet").num_rows == len(cli.datamodule.photos("test"))
