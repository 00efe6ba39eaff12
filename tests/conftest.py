"""A small world for tests: everything is real, only little."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import lightning as L  # noqa: F401  (makes the handlers that are cleared below)
import pytest
import torch

os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)  # the tests of processes would otherwise fight over two cores

# They write to the stream that was standard error when Lightning was imported, which pytest has closed since.
for name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(name).handlers.clear()

ROOT = Path(__file__).parents[1]
SMALL = [
    "--data.gallery_size=96",
    "--data.retriever_train_size=64",
    "--data.train_size=48",
    "--data.val_size=16",
    "--data.test_size=24",
    "--data.batch_size=16",
]


@pytest.fixture(autouse=True)
def _no_seed_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning keeps the seed of seed_everything in the environment, where data look for theirs."""
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with a retriever trained for an epoch, its gallery, and candidates for a small Blue Marble."""
    from georanker.cli import main, run_trainer

    run = tmp_path_factory.mktemp("small")
    cache = f"--data.cache={run / 'cache'}"
    config = ROOT / "configs/experiment/blue_marble_demo_retriever.yaml"
    folders = [f"--trainer.default_root_dir={run}", f"--trainer.logger.save_dir={run}"]
    trainer = run_trainer(["fit", f"--config={config}", *SMALL, cache, "--trainer.max_epochs=1", *folders]).trainer
    trainer.save_checkpoint(run / "retriever.ckpt")
    data = [f"--data={ROOT / 'configs/data/blue_marble_demo_photos.yaml'}", *SMALL, cache]
    common = [*data, f"--retriever={run / 'retriever.ckpt'}"]
    main(["index", *common, f"--out={run / 'gallery'}"])
    main(["retrieve", *common, f"--gallery={run / 'gallery'}", f"--out={run / 'candidates'}", "--top_k=8"])
    return run


@pytest.fixture
def small_data(small_run: Path) -> list[str]:
    """Flags that give any Blue Marble config the small world and its candidates."""
    return [*SMALL, f"--data.cache={small_run / 'cache'}", f"--data.candidates={small_run / 'candidates'}"]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny vision-language model, made once."""
    from tests.tiny_vlms import tiny_vlm

    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = tiny_vlm(family, tmp_path_factory.mktemp(family))
        return made[family]

    return folder
