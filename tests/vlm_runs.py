"""Runs of a vision-language ranker on the small Blue Marble, as a user starts them, and what such a run is made of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import pyarrow.parquet as pq
import yaml
from lightning.pytorch.callbacks import Callback

from georanker.backbones.ranking_collator import RankingCollator
from georanker.data.blue_marble import BlueMarble
from georanker.types import CandidateList, PhotoSource, RankingBatch
from tests.conftest import ROOT, SMALL

LORA = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}


def vlm_config(folder: Path, model: Path, lora: Mapping[str, object] | None = LORA, **backbone: Any) -> str:
    """Write a YAML that trains an adapter on a model, and return the flag that names it; its outputs stay in `folder`.

    Args:
        folder: of the run.
        model: the folder of a vision-language model.
        lora: the adapter; None for none.
        backbone: further options of VLMBackbone.
    """
    config = {
        "seed_everything": 0,
        "data": "BlueMarble",
        "model": {
            "class_path": "Ranker",
            "init_args": {
                "backbone": {
                    "class_path": "VLMBackbone",
                    "init_args": {
                        "model": str(model),
                        **({} if lora is None else {"lora": dict(lora)}),
                        **backbone,
                    },
                },
                "loss": "MultiOrderDistance",
                "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.03}},
            },
        },
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": 1,
            "enable_model_summary": False,
            "enable_progress_bar": False,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 1,
            "default_root_dir": str(folder),
            "logger": {"class_path": "CSVLogger", "init_args": {"save_dir": str(folder)}},
            "callbacks": [
                {"class_path": "StepSeed"},
                {
                    "class_path": "ModelCheckpoint",
                    "init_args": {"dirpath": str(folder / "checkpoints"), "filename": "ranker"},
                },
                {"class_path": "PredictionWriter"},
            ],
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "vlm.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return f"--config={path}"


def small_lists(small_run: Path) -> list[str]:
    """Return flags that give a config the lists of `small_run`."""
    return [*SMALL, f"--data.cache={small_run / 'cache'}", f"--data.candidates={small_run / 'candidates'}"]


def georanker(*args: str) -> list[str]:
    """Return the command that starts georanker in a process of its own, from the repository's root."""
    return [sys.executable, "-m", "georanker", *args]


def finished(*args: str) -> subprocess.CompletedProcess[str]:
    """Run georanker in a process of its own to its end, which must be a success."""
    done = subprocess.run(georanker(*args), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


@dataclass(frozen=True)
class Answer:
    """A row of predictions.parquet."""

    photo_id: str
    candidates: tuple[tuple[str, float], ...]
    """Photo and score, best first."""

    @property
    def scores(self) -> dict[str, float]:
        """The score of each candidate."""
        return dict(self.candidates)


def predicted(folder: Path) -> list[Answer]:
    """Return what `predict` wrote."""
    rows = pq.read_table(folder / "predictions.parquet").to_pylist()
    return [Answer(row["photo_id"], tuple((c["photo_id"], c["score"]) for c in row["candidates"])) for row in rows]


def kilometres(found: CandidateList) -> dict[str, float]:
    """Return how far the photo of each candidate is from the truth."""
    distances = RankingCollator()([found]).distances_km[0].tolist()
    return {each.photo.id: km for each, km in zip(found.candidates, distances, strict=True) if each.photo}


@dataclass(frozen=True)
class _Cracked:
    """Gives only the first half of some files."""

    whole: PhotoSource
    broken: frozenset[str]

    def read(self, photo_id: str) -> bytes:
        data = self.whole.read(photo_id)
        return data[: len(data) // 2] if photo_id in self.broken else data


class Damaged(BlueMarble):
    """Blue Marble with some files cut in half.

    Args:
        broken: the photos whose files are cut.
        settings: of BlueMarble.
    """

    def __init__(self, broken: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(**settings)
        self.photo_source = self.gallery_source = _Cracked(self.tiles, frozenset(broken))


class StepsWritten(Callback):
    """Writes the photos and the loss of each step, one file a process.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: RankingBatch, batch_idx: int
    ) -> None:
        step = {"photos": batch.photo_ids, "loss": outputs["loss"].item(), "process": os.getpid()}
        with (Path(self.folder) / f"{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps(step) + "\n")
