"""The settings of a run stand beside the figures that it reached, in TensorBoard."""

from __future__ import annotations

from pathlib import Path

from georanker.callbacks import HeadlineMetrics
from georanker.callbacks.headline_metrics import settings
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from georanker.cli import run_trainer
from georanker.ranker import Ranker
from tests.callbacks.pictures import ByLatitude, events, loader, ranker, some_lists, trainer
from tests.conftest import ROOT


def told(read: EventAccumulator) -> tuple[dict[str, float | str], list[str]]:
    """Return the settings and the names of the columns, as TensorBoard's tab finds them."""
    content = read.PluginTagToContent("hparams")
    start = HParamsPluginData.FromString(content["_hparams_/session_start_info"]).session_start_info
    found = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    experiment = HParamsPluginData.FromString(content["_hparams_/experiment"]).experiment
    return found, [info.name.tag for info in experiment.metric_infos]


def test_a_run_of_the_command_line(small_data: list[str], tmp_path: Path) -> None:
    config = f"--config={ROOT / 'configs/experiment/blue_marble_demo.yaml'}"
    folders = [f"--trainer.default_root_dir={tmp_path}", f"--trainer.logger.save_dir={tmp_path}"]
    common = [config, *small_data, *folders]
    cli = run_trainer(["fit", *common, "--trainer.max_epochs=1", "--trainer.log_every_n_steps=2"])
    checkpoint = tmp_path / "logs/ranker/checkpoints/ranker.ckpt"
    tested = run_trainer(["test", *common, f"--ckpt_path={checkpoint}", "--verbose=False"])

    read = events(tmp_path / "logs/ranker")
    found, columns = told(read)
    assert found["model"] == "Ranker"
    assert found["model.loss"] == "MultiOrderDistance"
    assert found["model.loss.top"] == 1.0
    assert found["model.optimizer"] == "AdamW"
    assert found["model.optimizer.lr"] == 1e-3
    assert found["model.radii_km"] == "50.0, 200.0, 750.0, 2500.0"
    assert found["model.backbone.sees_places"] == "False"
    assert found["data"] == "BlueMarble"
    assert found["data.batch_size"] == 16.0
    assert found["trainer.max_epochs"] == 1.0
    assert found["seed_everything"] == 0.0
    assert not any("class_path" in name or "init_args" in name or "_instantiator" in name for name in found)
    assert columns == [f"{at}/ranked/{name}" for at in ("val", "test") for name in ("acc@200km", "median_km")]
    for stage, made in (("val", cli.trainer), ("test", tested.trainer)):
        values = {event.value for event in read.Scalars(f"{stage}/ranked/median_km")}
        assert values == {made.callback_metrics[f"{stage}/ranked/median_km"].item()}
    assert "hp_metric" not in read.Tags()["scalars"]
    assert {Path(tag).name for tag in read.Tags()["images"]} == {
        "world_map",
        "example_strips",
        "score_against_distance",
    }
    for tag in read.Tags()["images"]:
        assert (tmp_path / "pictures" / f"{tag}.png").is_file()
    assert read.Scalars("throughput/photos_per_second")[0].value > 0


def test_a_ranker_made_in_python_without_data_module(tmp_path: Path) -> None:
    module = Ranker(ByLatitude(), radii_km=(25, 200))
    found = settings(trainer(tmp_path), module)
    assert found["model"] == "Ranker"
    assert found["model.radii_km"] == "25, 200"
    assert "data" not in found
    assert all(isinstance(value, int | float | str) for value in found.values())


def test_parts_in_a_list_are_told_apart(tmp_path: Path) -> None:
    module = ranker()
    parts = [[{"class_path": "georanker.losses.RankNet", "init_args": {"margin": 2}}, 0.5], ["plain", True]]
    module.save_hyperparameters({"loss": {"class_path": "a.b.WeightedSum", "init_args": {"parts": parts}}})
    found = settings(trainer(tmp_path), module)
    assert {name: value for name, value in found.items() if name.startswith("model.loss")} == {
        "model.loss": "WeightedSum",
        "model.loss.parts.0.0": "RankNet",
        "model.loss.parts.0.0.margin": 2,
        "model.loss.parts.0.1": 0.5,
        "model.loss.parts.1": "plain, True",
    }


def test_loggers_of_other_kinds_and_none(tmp_path: Path) -> None:
    board = TensorBoardLogger(tmp_path, "logs", "run", default_hp_metric=False)
    for logger in (False, CSVLogger(tmp_path), [CSVLogger(tmp_path), board]):
        made, module = trainer(tmp_path, HeadlineMetrics(), logger=logger), ranker()
        made.fit(module, loader(module, some_lists()), loader(module, some_lists()))
    assert told(events(tmp_path / "logs/run"))[1] == ["val/ranked/acc@200km", "test/ranked/acc@200km"]
