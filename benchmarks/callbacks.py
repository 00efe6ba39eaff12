"""What the callbacks cost: the same ranker trained on the same batches, with and without them.

    python benchmarks/callbacks.py

The two are trained in turns in this process, and the medians of their steps are compared. Times are those of the
processor, so that others who use the machine do not count. They still move by some percent from round to round, so the
time between the first and the last callback of each hook is taken too. The ranker is the demo's: 64 lists of 20
candidates a step.
"""

from __future__ import annotations

import argparse
import gc
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import georanker.callbacks as ours
import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from torch.utils.data import DataLoader

from georanker.backbones.embedding import EmbeddingBackbone
from georanker.files import write_json
from georanker.losses.multi_order_distance import MultiOrderDistance
from georanker.ranker import Ranker
from georanker.types import Candidate, CandidateList, Photo, Place

RESULTS = Path(__file__).parent / "results" / "callbacks.json"
BATCH, CANDIDATES, LISTS = 64, 20, 1024
WARM_UP = 5
"""Steps that do not count."""


class Photos:
    """Photos of 640 x 480 pixels, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        random = np.random.default_rng(0)
        for index in range(16):
            small = Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8))
            small.resize((640, 480), Image.Resampling.BICUBIC).save(folder / f"{index}.jpg", quality=90)

    def read(self, photo_id: str) -> bytes:
        return (self.folder / f"{int(photo_id) % 16}.jpg").read_bytes()


class Clock(Callback):
    """Reads the processor's time at the ends of steps and epochs; one stands before the callbacks, one after them."""

    def __init__(self) -> None:
        self.read: dict[str, list[float]] = {}

    def on_train_batch_start(self, *args: Any) -> None:
        self._mark("start of training step")

    def on_validation_batch_start(self, *args: Any) -> None:
        self._mark("start of validation step")

    def _mark(self, name: str) -> None:
        self.read.setdefault(name, []).append(time.process_time())

    def on_train_batch_end(self, *args: Any) -> None:
        self._mark("training step")

    def on_validation_batch_end(self, *args: Any) -> None:
        self._mark("validation step")

    def on_validation_end(self, *args: Any) -> None:
        self._mark("end of validation")

    def on_fit_end(self, *args: Any) -> None:
        self._mark("end of training")


def seconds(before: Clock, after: Clock) -> dict[str, float]:
    """Return the median seconds of a step, the mean seconds within the callbacks, and what an epoch's end takes."""
    found: dict[str, float] = {}
    for name in ("training step", "validation step"):
        found[name] = statistics.median(np.diff(after.read[name][WARM_UP:]).tolist())
        hooks = (name, f"start of {name}")
        within = [end - begin for hook in hooks for begin, end in zip(before.read[hook], after.read[hook], strict=True)]
        found[f"within a {name}"] = sum(within) / len(after.read[name])
    found["end of validation"] = after.read["end of validation"][0] - after.read["validation step"][-1]
    found["end of training"] = after.read["end of training"][0] - after.read["end of validation"][0]
    return found


def make_lists(folder: Path, photos: int) -> list[CandidateList]:
    """Return lists with a gallery of random vectors."""
    random, source = np.random.default_rng(0), Photos(folder / "photos")
    gallery = folder / "gallery"
    gallery.mkdir()
    for name in ("embeddings.npy", "location_embeddings.npy"):
        np.save(gallery / name, random.normal(size=(2000, 128)).astype(np.float32))

    def place() -> Place:
        return Place(float(random.uniform(-60, 70)), float(random.uniform(-180, 180)))

    places = [place() for _ in range(2000)]
    made = []
    for index in range(photos):
        rows = random.integers(0, 2000, CANDIDATES).tolist()
        candidates = [
            Candidate(places[row], -at / CANDIDATES, Photo(str(row), places[row], source), row)
            for at, row in enumerate(rows)
        ]
        embedding = random.normal(size=128).astype(np.float32)
        photo = Photo(str(index), place(), source)
        made.append(CandidateList(photo, tuple(candidates), embedding=embedding, gallery=str(gallery)))
    return made


def train(folder: Path, callbacks: Sequence[Callback], lists: Sequence[CandidateList]) -> dict[str, float]:
    """Train for an epoch and return what the steps took."""
    torch.manual_seed(0)
    ranker = Ranker(EmbeddingBackbone(), MultiOrderDistance(), radii_km=(50, 200, 750, 2500))
    before, after = Clock(), Clock()
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[before, *callbacks, after],
        logger=TensorBoardLogger(folder, "logs", default_hp_metric=False),
        default_root_dir=folder,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )

    def loader(of: Sequence[CandidateList]) -> DataLoader[Any]:
        return DataLoader(of, batch_size=BATCH, collate_fn=ranker.collator)  # type: ignore[arg-type]

    trainer.fit(ranker, loader(list(lists) * 4), loader(lists))
    return seconds(before, after)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description="What the callbacks cost.")
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*", FutureWarning)

    def made() -> list[Callback]:
        return [
            ours.WorldMap(),
            ours.ExampleStrips(),
            ours.ScoreAgainstDistance(),
            ours.ThroughputAndMemory(),
            ours.HeadlineMetrics(),
            ours.PredictionWriter(),
        ]

    times: dict[str, list[dict[str, float]]] = {"with": [], "without": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lists = make_lists(folder, LISTS)
        gc.freeze()  # or the garbage collector looks through all lists whenever a picture is drawn
        for at in range(-1, rounds):
            # Who comes first changes, and the first round, which imports what is drawn with, does not count.
            for way in ("with", "without") if at % 2 else ("without", "with"):
                took = train(folder / f"{way}-{at}", made() if way == "with" else [], lists)
                if at >= 0:
                    times[way].append(took)
    rows = table(times)
    measured_with = {name: version(name) for name in ("georanker", "torch", "lightning", "matplotlib", "tensorboard")}
    settings = {"rounds": rounds, "lists_a_step": BATCH, "candidates": CANDIDATES, "threads": 1}
    content = {"settings": {**settings, "clock": "process_time"}, "rows": rows, "versions": measured_with}
    write_json(RESULTS, content)


def table(times: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Print and return the medians over the rounds."""
    rows: dict[str, dict[str, float]] = {}
    print(f"{'milliseconds':24} {'without':>9} {'with':>9} {'more':>9}   ratio of the whole")
    for kind in times["with"][0]:
        without, with_ = (statistics.median(each[kind] for each in times[way]) for way in ("without", "with"))
        rows[kind] = {"seconds_without": without, "seconds_with": with_}
        told = ""
        if kind in ("training step", "validation step"):
            ratios = [one[kind] / other[kind] for one, other in zip(times["with"], times["without"], strict=True)]
            low, ratio, high = statistics.quantiles(ratios, n=4)
            rows[kind] |= {"ratio": ratio, "lower_quartile": low, "upper_quartile": high}
            told = f"{ratio:.3f}, middle half of the rounds {low:.3f} to {high:.3f}"
        elif kind.startswith("within"):
            rows[kind]["share_of_step"] = (with_ - without) / rows[kind.removeprefix("within a ")]["seconds_without"]
            told = f"{rows[kind]['share_of_step']:.2%} of the step"
        print(f"{kind:24} {1e3 * without:9.3f} {1e3 * with_:9.3f} {1e3 * (with_ - without):9.3f}   {told}")
    return rows


if __name__ == "__main__":
    main()
