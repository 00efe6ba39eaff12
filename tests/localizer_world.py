"""A finished run of the small world, and photos to ask it about."""

from __future__ import annotations

import functools
import io
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from matplotlib import get_data_path
from PIL import Image

from georanker.backbones.base import Backbone
from georanker.cli import main, run_trainer
from georanker.data.blue_marble import BlueMarble
from georanker.types import CandidateList, RankingBatch
from tests.conftest import ROOT, SMALL

PORTRAIT = Path(get_data_path()) / "sample_data" / "grace_hopper.jpg"
"""A real photograph, of a person: nothing that a model of the Earth's surface knows."""
FIGURES = {"acc@50km": 0.25, "acc@200km": 0.5, "median_km": 1234.5}
ROWS = ("retrieved", "ranked", "oracle")
SETTINGS = {"experiment": "small|world", "configs": "0", "seed": 7, "unseen": False, "georanker": "0.1.0"}


@functools.cache
def finished_run(small_run: Path) -> Path:
    """Return a folder as `georanker demo` leaves it, of the small world; made once."""
    run = small_run.parent / "finished"
    for name in ("gallery", "candidates"):
        shutil.copytree(small_run / name, run / name)
    shutil.copy(small_run / "retriever.ckpt", run)
    config = f"--config={ROOT / 'configs/experiment/blue_marble_demo.yaml'}"
    data = [*SMALL, f"--data.cache={small_run / 'cache'}", f"--data.candidates={run / 'candidates'}"]
    folders = [f"--trainer.default_root_dir={run}", "--trainer.logger=False"]
    trainer = run_trainer(["fit", config, *data, *folders, "--trainer.max_epochs=1"]).trainer
    trainer.save_checkpoint(run / "ranker.ckpt")
    main(["predict", config, *data, *folders, f"--ckpt_path={run / 'ranker.ckpt'}"])
    rows = {row: {name: figure * (1 + n) for name, figure in FIGURES.items()} for n, row in enumerate(ROWS)}
    (run / "metrics.json").write_text(json.dumps({**rows, "settings": SETTINGS, "seconds": {}}))
    return run


def tile(small_run: Path, number: int = 0) -> Image.Image:
    """A tile of the split test, which no gallery holds."""
    data = BlueMarble(gallery_size=96, test_size=24, cache=small_run / "cache")
    return data.photos("test")[number].load()


def encoded(image: Image.Image, file_format: str = "PNG", **settings: object) -> bytes:
    """An image as a file's bytes."""
    file = io.BytesIO()
    image.save(file, file_format, **settings)
    return file.getvalue()


def noise(seed: int, height: int = 40, width: int = 60) -> np.ndarray:
    """An array that is a photo of nothing."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


class Spy(Backbone):
    """Scores by the retriever, and writes down what it was told of the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.truths: list[torch.Tensor] = []
        self.lists: list[CandidateList] = []

    def forward(self, batch: RankingBatch) -> torch.Tensor:
        self.truths += [batch.truth, batch.distances_km[batch.mask][:, None].expand(-1, 2)]
        assert all(found.photo.place is None for found in batch.lists)
        self.lists += batch.lists
        return batch.retrieval_scores
