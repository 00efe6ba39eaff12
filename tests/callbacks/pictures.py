"""Runs of a small ranker, made to be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor
from torch.utils.data import DataLoader

from georanker.backbones.base import Backbone
from georanker.losses.multi_order_distance import MultiOrderDistance
from georanker.ranker import Ranker
from georanker.types import Candidate, CandidateList, Photo, PhotoSource, Place, RankingBatch


class ByLatitude(Backbone):
    """Scores a candidate by its latitude; north of a line it cannot be scored."""

    def __init__(self, unscored_north_of: float = 91.0) -> None:
        super().__init__()
        self.unscored_north_of = unscored_north_of
        self.factor = torch.nn.Parameter(torch.ones(()))

    def forward(self, batch: RankingBatch) -> Tensor:
        latitudes = batch.places[..., 0].nan_to_num().float()
        return self.factor * latitudes.masked_fill(latitudes > self.unscored_north_of, float("nan"))


def some_lists(photos: int = 24, most: int = 6, source: PhotoSource | None = None) -> list[CandidateList]:
    """Return lists of one to `most` candidates."""
    random = np.random.default_rng(0)
    made = []
    for index in range(photos):
        places = [Place(*random.uniform(-80, 80, 2)) for _ in range(1 + index % most)]
        candidates = [
            Candidate(place, -at, Photo(f"gallery-{index}-{at}", place, source) if source else None)
            for at, place in enumerate(places)
        ]
        made.append(
            CandidateList(Photo(f"photo-{index}", Place(*random.uniform(-80, 80, 2)), source), tuple(candidates))
        )
    return made


def trainer(folder: Path, *callbacks: Callback, **settings: Any) -> L.Trainer:
    """Return a trainer whose files stay in a folder."""
    quiet = dict.fromkeys(("enable_progress_bar", "enable_checkpointing", "enable_model_summary", "logger"), False)
    settings = {"max_epochs": 1, **quiet, **settings}
    return L.Trainer(accelerator="cpu", callbacks=list(callbacks), default_root_dir=folder, **settings)


def loader(ranker: Ranker, lists: Sequence[CandidateList], batch_size: int = 8) -> DataLoader[Any]:
    return DataLoader(lists, batch_size=batch_size, collate_fn=ranker.collator)  # type: ignore[arg-type]


def ranker(**backbone: Any) -> Ranker:
    return Ranker(ByLatitude(**backbone), MultiOrderDistance())


def validated(
    folder: Path, callback: Callback, lists: Sequence[CandidateList], batch_size: int = 8, **settings: Any
) -> L.Trainer:
    """Validate on some lists and return the trainer."""
    made, module = trainer(folder, callback, **settings), ranker()
    made.validate(module, loader(module, lists, batch_size), verbose=False)
    return made


def watched(picture: Any) -> list[tuple[Sequence[Any], Figure]]:
    """Return a list that fills with what a picture is made of, and with the figures, as it is drawn."""
    kept, draw = [], picture.draw

    def draw_and_keep(lists: Sequence[Any], trainer: L.Trainer, stage: str) -> Figure | None:
        figure: Figure | None = draw(lists, trainer, stage)
        if figure is not None:
            kept.append((lists, figure))
        return figure

    picture.draw = draw_and_keep
    return kept


def events(folder: Path) -> EventAccumulator:
    """Read what TensorBoard would read."""
    return EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
