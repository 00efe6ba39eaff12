"""The whole way of a photo, in one command."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import georanker
from georanker.files import file_beside
from georanker.types import GeorankerError
from georanker.verbs.index import index
from georanker.verbs.retrieve import retrieve

if TYPE_CHECKING:
    from rich.console import Console

    from georanker.data.base import GeoDataModule


def demo(
    experiment: str = "blue_marble_demo",
    run: Path = Path("runs/demo"),
    seed: int = 0,
    unseen: bool = False,
) -> None:
    """Train a retriever and a ranker on images of the Earth, rank, and report.

    Everything goes through the shipped configs and the commands that you would use yourself. What is finished is kept:
    a second call goes on where the first one stopped.

    Args:
        experiment: a shipped experiment whose retriever is trained by the config of the same name ending in
            _retriever. blue_marble_demo takes minutes; blue_marble is the full setting.
        run: the folder for everything that comes of it.
        seed: fixes the result.
        unseen: test on parts of the Earth that neither retriever nor ranker has seen in training.
    """
    from rich.console import Console

    from georanker.cli import run_trainer
    from georanker.data.blue_marble_tiles import package_file
    from georanker.report.results_table import figures, results_table
    from georanker.report.world_map import world_map

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    console = Console()
    config, retriever_config = shipped_config(experiment), shipped_config(f"{experiment}_retriever")
    stages = _Stages(run, {"experiment": experiment, "seed": seed, "unseen": unseen}, console)
    retriever, gallery, candidates = run / "retriever.ckpt", run / "gallery", run / "candidates"
    ranker, predictions, metrics = run / "ranker.ckpt", run / "predictions.parquet", run / "metrics.json"
    common = [
        f"--seed_everything={seed}",
        f"--data.unseen={unseen}",
        f"--trainer.default_root_dir={run}",
        f"--trainer.logger.save_dir={run}",
    ]
    retriever_flags = [f"--config={retriever_config}", *common]
    ranker_flags = [f"--config={config}", *common, f"--data.candidates={candidates}"]

    def train(flags: list[str], checkpoint: Path) -> None:
        trainer = run_trainer(["fit", *flags]).trainer
        if trainer.interrupted or trainer.checkpoint_callback is None:
            raise GeorankerError("the training was interrupted; call again to go on")
        with file_beside(checkpoint) as part:
            shutil.copyfile(getattr(trainer.checkpoint_callback, "best_model_path", ""), part)

    def test() -> None:
        measured = run_trainer(["test", *ranker_flags, f"--ckpt_path={ranker}"]).trainer.callback_metrics
        _write_json(metrics, figures({name: value.item() for name, value in measured.items()}))

    def photos() -> GeoDataModule:
        data: GeoDataModule = run_trainer(retriever_flags, run=False).datamodule
        return data

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

    figures_ = json.loads(metrics.read_text())
    figures_ = {answer: figures_[answer] for answer in ("retrieved", "ranked", "oracle")}
    _write_json(metrics, {**figures_, **stages.record})
    where = "in parts of the Earth that training has not seen" if unseen else "anywhere on land"
    console.print()
    console.print(results_table(figures_, f"{experiment}, seed {seed}: photos {where}"))
    console.print()
    console.print(f"  figures      {metrics}")
    console.print(f"  answers      {predictions}")
    console.print(f"  map          {run / 'map.png'}")
    console.print(f"  curves       tensorboard --logdir {run}")


class _Stages:
    """Runs what is not finished yet, and remembers how long each stage took.

    A stage is finished when its output is there, since outputs appear whole or not at all.
    """

    def __init__(self, run: Path, settings: Mapping[str, object], console: Console) -> None:
        self._path, self._console = run / "stages.json", console
        self._settings = {**settings, "georanker": georanker.__version__}
        self.record: dict[str, dict[str, object]] = {"settings": self._settings, "seconds": {}}
        if self._path.exists():
            self.record = json.loads(self._path.read_text())
        if self.record["settings"] != self._settings:
            raise GeorankerError(
                f"{run} holds a run with other settings ({self.record['settings']}); name another --run, or delete it"
            )
        _write_json(self._path, self.record)

    def run(self, title: str, output: Path, stage: Callable[[], object]) -> None:
        if output.exists():
            self._console.print(f"[dim]✓ {title}: done before[/dim]")
            return
        self._console.print(f"[bold]{title}[/bold]")
        start = time.monotonic()
        stage()
        seconds = round(time.monotonic() - start, 1)
        self.record["seconds"][title] = seconds
        _write_json(self._path, self.record)
        self._console.print(f"✓ {title}: {seconds:.0f} s")


def shipped_config(experiment: str) -> Path:
    """Return the file of a shipped experiment.

    Raises:
        GeorankerError: there is none of that name; the message lists those there are.
    """
    spec = find_spec("georanker.configs")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0]) / "experiment"
    if not (folder / f"{experiment}.yaml").exists():
        names = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        raise GeorankerError(f"there is no shipped experiment {experiment!r}; there are {names}")
    return folder / f"{experiment}.yaml"


def _write_json(path: Path, content: object) -> None:
    with file_beside(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n")
