"""Each benchmark of configs/data runs with each backbone of the house, or says in a line what it lacks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from georanker.cli import main, run_trainer
from georanker.data.base import GeoDataModule
from georanker.types import GeorankerError
from tests.conftest import ROOT
from tests.miniatures import PLACES, write_miniatures
from tests.photos_with_gps import photo_at
from tests.test_configs import ONE_CPU, with_tiny_vlm

CONFIGS = {file.stem: file for file in sorted((ROOT / "configs/data").glob("*.yaml"))}
# The experiments of Blue Marble run in tests/test_configs.py.
BENCHMARKS = [name for name, file in CONFIGS.items() if yaml.safe_load(file.read_text())["class_path"] != "BlueMarble"]
BACKBONES = ("SimilarityBackbone", "ConsensusBackbone", "EmbeddingBackbone", "VLMBackbone")
FEW = ["--data.num_workers=0", "--data.batch_size=4"]
LACKS = r"^data\.candidates is not set: [^\n]*$|^photo \S+: its list has no embedding [^\n]*$|^the split test is empty$"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the miniatures, and photos of one's own, where the configs look for them; and a retriever."""
    folder = tmp_path_factory.mktemp("machine")
    write_miniatures(folder / "dataset")
    rows = ["id,latitude,longitude"]
    for at, (latitude, longitude, *_) in enumerate(PLACES):
        for split in ("gallery", "test"):
            file = folder / f"photos/{split}/{at}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(photo_at(latitude, longitude, grey=at + 100 * (split == "test")))
        rows.append(f"test/{at}.jpg,{latitude},{longitude}")
    (folder / "photos.csv").write_text("\n".join(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        model = f"--model={ROOT / 'configs/retriever/contrastive.yaml'}"
        data = [f"--data={CONFIGS['mp16_pro']}", *FEW]
        short = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=1", "--trainer.limit_val_batches=0"]
        quiet = ["--trainer.logger=False", "--trainer.enable_checkpointing=False"]
        fitted = run_trainer(["fit", *data, model, *ONE_CPU, *short, *quiet])
        fitted.trainer.save_checkpoint(folder / "retriever.ckpt")
    return folder


def trainer_flags(run: Path) -> list[str]:
    trainer = [f"--trainer={ROOT / 'configs/trainer/cpu.yaml'}", *ONE_CPU, f"--trainer.default_root_dir={run}"]
    return [*trainer, "--trainer.logger=False", "--trainer.max_epochs=1"]


def model_flags(backbone: str, tiny: Callable[[str], Path]) -> list[str]:
    if backbone == "VLMBackbone":
        return [f"--model={ROOT / 'configs/ranker/georanker.yaml'}", *with_tiny_vlm(tiny("qwen2_vl"))]
    config = ROOT / "configs/ranker/embedding.yaml" if backbone == "EmbeddingBackbone" else "Ranker"
    return [f"--model={config}", f"--model.backbone={backbone}", "--model.radii_km=[1, 25, 200, 750, 2500]"]


def splits(data: GeoDataModule, *names: str) -> list[str]:
    """Return those of the splits that there are."""
    found = []
    for name in names:
        try:
            found += [name] if len(data.photos(name)) else []
        except GeorankerError:
            continue
    return found


@pytest.fixture(scope="module")
def retrieved(machine: Path) -> Callable[[str], Path]:
    """The folder of candidates that the retriever finds for a benchmark, made once."""

    def indexed(name: str) -> Path:
        out = machine / "runs" / name / "gallery"
        if not out.exists():
            main(
                ["index", f"--data={CONFIGS[name]}", *FEW, f"--retriever={machine / 'retriever.ckpt'}", f"--out={out}"]
            )
        return out

    def folder(name: str) -> Path:
        out = machine / "runs" / name / "candidates"
        if not out.exists():
            data = built(name)
            gallery = indexed(
                name if splits(data, "gallery") else "photo_folder" if name == "geo_table" else "mp16_pro"
            )
            # A benchmark that has no photos to test on is tested on others.
            asked = splits(data, "train", "val", "test") or splits(data, "retriever_train")
            common = [f"--data={CONFIGS[name]}", *FEW, f"--retriever={machine / 'retriever.ckpt'}", f"--out={out}"]
            main(["retrieve", *common, f"--gallery={gallery}", f"--splits={asked}", "--top_k=9"])
            for split in ("train", "val", "test"):
                if split not in asked:  # one that is only tested on is trained elsewhere
                    shutil.copy(out / f"{asked[-1]}.parquet", out / f"{split}.parquet")
        return out

    return folder


def built(name: str) -> GeoDataModule:
    parts = [f"--data={CONFIGS[name]}", "--model=Ranker", "--model.backbone=SimilarityBackbone"]
    data: GeoDataModule = run_trainer(parts, run=False).datamodule
    return data


def runs(command: list[str], run: Path, has_train: bool = True) -> None:
    """Fit where there is something to learn, test and predict."""
    few = ["--trainer.limit_train_batches=2", "--trainer.limit_val_batches=2", "--trainer.limit_test_batches=2"]
    cli: Any = run_trainer([*command, *trainer_flags(run), *few], run=False)
    if has_train and any(parameter.requires_grad for parameter in cli.model.parameters()):
        cli.trainer.fit(cli.model, datamodule=cli.datamodule)
        assert cli.trainer.global_step == 2
    cli.trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)
    assert "test/ranked/acc@25km" in cli.trainer.callback_metrics
    cli.trainer.predict(cli.model, datamodule=cli.datamodule, return_predictions=False)
    assert pq.read_metadata(run / "predictions.parquet").num_rows == len(cli.datamodule.lists("test"))


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("name", BENCHMARKS)
def test_with_retrieved_candidates(
    name: str,
    backbone: str,
    machine: Path,
    retrieved: Callable[[str], Path],
    tiny: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(machine)
    data = [f"--data={CONFIGS[name]}", *FEW, f"--data.candidates={retrieved(name)}"]
    runs([*data, *model_flags(backbone, tiny)], machine / name / backbone)


def test_retrieving_does_not_mind_cells_of_candidates(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(machine)
    table = Path("dataset/im2gps3k/im2gps3k.csv").read_text()
    Path("dataset/im2gps3k/bad.csv").write_text(table.replace('"[(', '"[((', 1))
    bad = [f"--data={CONFIGS['im2gps3k']}", "--data.table=dataset/im2gps3k/bad.csv", *FEW]
    found = [f"--retriever={machine / 'retriever.ckpt'}", f"--gallery={machine / 'runs/mp16/gallery'}"]
    if not (machine / "runs/mp16/gallery").exists():
        main(["index", f"--data={CONFIGS['mp16_pro']}", *FEW, found[0], f"--out={machine / 'runs/mp16/gallery'}"])
    main(["retrieve", *bad, *found, f"--out={machine / 'runs/bad'}", "--splits=[test]", "--top_k=9"])
    assert pq.read_metadata(machine / "runs/bad/test.parquet").num_rows == 24
    with pytest.raises(SystemExit):  # who takes the candidates of the cells hears of them
        main(["check-data", *bad, "--splits=[test]"])


@pytest.mark.parametrize("name", BENCHMARKS)
def test_without_them(name: str, machine: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Candidates of a benchmark's own have no vectors, and are enough for each backbone that needs none."""
    monkeypatch.chdir(machine)
    data, benchmark_ = [f"--data={CONFIGS[name]}", *FEW], built(name)
    for command in ("fit", "test", "predict"):
        with pytest.raises(GeorankerError, match=LACKS):
            run_trainer([command, *data, *model_flags("EmbeddingBackbone", tiny), *trainer_flags(machine / name)])
    if not splits(benchmark_, "test") or benchmark_.own_lists("test") is None:
        return
    for backbone in ("SimilarityBackbone", "ConsensusBackbone", "VLMBackbone"):
        runs(
            [*data, *model_flags(backbone, tiny)], machine / name / f"own_{backbone}", bool(splits(benchmark_, "train"))
        )
