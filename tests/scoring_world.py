"""Many photos that nobody has to read, a ranker that looks at places alone, and a witness of what it was asked."""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from georanker.backbones.base import Backbone
from georanker.candidates import write_candidates
from georanker.cli import main
from georanker.data.base import Collator, GeoDataModule
from georanker.types import Candidate, CandidateList, Photo, Place, RankingBatch

PHOTOS = 61
"""A number that no other divides, so that processes have uneven shares."""


class ManyPhotos(GeoDataModule):
    """The photos of a candidates file."""

    def __init__(
        self,
        candidates: Path | None = None,
        batch_size: int = 1,
        num_workers: int = 0,
        seed: int | None = None,
        collator: Collator | None = None,
        jitter: float = 0.0,
    ) -> None:
        super().__init__(candidates, batch_size, num_workers, seed, collator)
        self.save_hyperparameters(ignore=["collator", "candidates"])

    def photos(self, split: str) -> Sequence[Photo]:
        return [found.photo for found in self.lists(split)]


class ByPlace(Backbone):
    """Scores places by a weighted sum of their degrees; those far south cannot be read.

    Args:
        east: the weight of the longitude.
        together: how far scores depend on what else stands in the batch, as the last digits of real products do.
    """

    def __init__(self, east: float = 0.3, together: float = 0.0) -> None:
        super().__init__()
        self.together = together
        self.weights = torch.nn.Parameter(torch.tensor([1.0, east]))

    def forward(self, batch: RankingBatch) -> Tensor:
        scores = (batch.places.float() @ self.weights).sin()
        scores = scores + self.together * batch.places.nan_to_num().sum().float().sin()
        return scores.masked_fill(batch.places[..., 0] < -60, float("nan"))


def stand_still() -> None:
    """Wait to be killed."""
    time.sleep(120)
    raise RuntimeError("nobody has killed this process")


class Witness(Callback):
    """Notes which photos each process asks about, and may stand still, kill its process or fail.

    Args:
        folder: for the notes.
        still_at: the batch at which the process waits to be killed.
        killed_at: the batch at which the process kills itself.
        broken_at: the batch at which it raises an error.
    """

    def __init__(
        self, folder: Path, still_at: int | None = None, killed_at: int | None = None, broken_at: int | None = None
    ) -> None:
        self.folder, self.still_at, self.killed_at, self.broken_at = Path(folder), still_at, killed_at, broken_at

    def on_predict_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        if batch_idx == self.still_at:
            stand_still()
        if batch_idx == self.killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if batch_idx == self.broken_at:
            raise RuntimeError("the power is gone")
        with (self.folder / f"{os.getpid()}.asked").open("a") as notes:
            notes.write("".join(f"{photo_id}\n" for photo_id in batch.photo_ids))


def asked(folder: Path) -> list[str]:
    """Return the photos that were asked about, and forget them."""
    notes = list(folder.glob("*.asked"))
    found = [photo_id for file in notes for photo_id in file.read_text().split()]
    for file in notes:
        file.unlink()
    return found


def some_lists(photos: int = PHOTOS, seed: int = 0) -> list[CandidateList]:
    """Return lists of one to six candidates, some of which ByPlace cannot read."""
    random = np.random.default_rng(seed)

    def place() -> Place:
        return Place(random.uniform(-90, 90), random.uniform(-180, 180))

    lists = [
        CandidateList(
            Photo(f"photo-{number}", place() if number % 3 else None),
            tuple(Candidate(place(), random.uniform(), Photo(f"gallery-{number}-{k}")) for k in range(1 + number % 6)),
        )
        for number in range(photos)
    ]
    lists[-1] = replace(lists[-1], candidates=(Candidate(Place(-80.0, 0.0)),))  # nothing of the last can be read
    return lists


def write_lists(folder: Path, lists: Sequence[CandidateList]) -> Path:
    """Write lists as the split test, and return the folder that `data.candidates` names."""
    write_candidates(folder / "test.parquet", lists, "nobody", None)
    return folder


def command(candidates: Path, folder: Path, *more: str) -> list[str]:
    """Return the command that scores, with a shard every four photos."""
    return [
        "predict",
        *("--model=Ranker", "--model.backbone=tests.scoring_world.ByPlace"),
        *("--data=tests.scoring_world.ManyPhotos", f"--data.candidates={candidates}"),
        *("--trainer.accelerator=cpu", "--trainer.devices=1", "--trainer.logger=False"),
        *("--trainer.enable_model_summary=False", f"--trainer.default_root_dir={folder}"),
        *("--trainer.callbacks+=PredictionWriter", "--trainer.callbacks.photos_a_shard=4"),
        *("--trainer.callbacks+=tests.scoring_world.Witness", f"--trainer.callbacks.folder={folder}"),
        *more,
    ]


def started(args: Sequence[str], prepare: Callable[[], object] = lambda: None) -> ForkProcess:
    """Start a command in a process of its own, which leads a group with those that it starts; that spares imports."""

    def run() -> None:
        os.setpgid(0, 0)
        warnings.simplefilter("default")  # as for a user: pytest makes an error of what the ranker tells
        prepare()
        main(args)

    process = get_context("fork").Process(target=run)
    process.start()
    return process


def finished(args: Sequence[str], prepare: Callable[[], object] = lambda: None) -> int | None:
    """Run a command in a process of its own, and return its exit code: -9 if it was killed."""
    process = started(args, prepare)
    process.join()
    return process.exitcode


def wait_for(number: int, folder: Path, process: Any) -> None:
    """Wait until a folder holds so many shards."""
    for _ in range(6000):
        if len(list(folder.glob("*.parquet"))) >= number:
            return
        assert process.poll() is None if hasattr(process, "poll") else process.is_alive(), "the run ended too early"
        time.sleep(0.01)
    raise AssertionError("no shards in a minute")
