"""The contract of callbacks that draw: what a picture is made of, when it is made, and where it goes."""

from __future__ import annotations

import io
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from georanker.files import file_beside
from georanker.ranker import Ranker
from georanker.types import GeorankerError, RankingBatch

from .photo_sample import PhotoSample
from .ranked_list import RankedList

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image


_DPI = 90


class Picture(Callback, ABC):
    """Draws at the end of each validation and test, from a sample of photos that is the same each time.

    The picture goes to TensorBoard, which keeps one of each epoch, and to the folder `pictures` in the trainer's root
    folder, which keeps the last. Of several processes the first draws, from its own share of the photos; the check
    before training and `fast_dev_run` leave no picture.

    Args:
        photos: how many to sample.
    """

    def __init__(self, photos: int) -> None:
        if photos < 1:
            raise ValueError(f"photos must be at least 1, not {photos}")
        self.photos = photos
        self._sample = PhotoSample(photos)
        self._keeps = True

    @abstractmethod
    def draw(self, lists: Sequence[RankedList], trainer: L.Trainer, stage: str) -> Figure | None:
        """Return the figure; None if there is nothing to show.

        Args:
            lists: what was sampled, at least one.
            trainer: its `callback_metrics` are those of this epoch, over all photos of all processes.
            stage: val or test.
        """

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """See that there is something to draw.

        Raises:
            GeorankerError: the module is no ranker.
        """
        if not isinstance(pl_module, Ranker):
            name = type(self).__name__
            raise GeorankerError(
                f"trainer.callbacks: {name} draws what a ranker answers, and {type(pl_module).__name__} is none; "
                f"leave {name} out"
            )

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the last epoch.

        A small sample is the beginning of a larger one, so that the first picture keeps one that does for all.
        """
        pictures = [each for each in trainer.callbacks if isinstance(each, Picture)]  # type: ignore[attr-defined]
        self._keeps = self is pictures[0]
        self._sample = PhotoSample(max(each.photos for each in pictures)) if self._keeps else pictures[0]._sample

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Sample a batch."""
        if not isinstance(outputs, Tensor) or not isinstance(batch, RankingBatch):
            raise GeorankerError(
                f"{type(pl_module).__name__}: validation_step and test_step must return the scores (B, K) of a "
                f"RankingBatch, which {type(self).__name__} draws"
            )
        if self._keeps and _draws(trainer):
            self._sample.add(batch, outputs)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw."""
        self._show(trainer, "val")

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the last test."""
        self.on_validation_start(trainer, pl_module)

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Sample a batch."""
        self.on_validation_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw."""
        self._show(trainer, "test")

    def _show(self, trainer: L.Trainer, stage: str) -> None:
        lists, self._sample = self._sample.lists()[: self.photos], PhotoSample(self.photos)
        figure = self.draw(lists, trainer, stage) if lists and _draws(trainer) else None
        if figure is None:
            return
        name = f"{stage}/{re.sub('(?<=.)(?=[A-Z])', '_', type(self).__name__).lower()}"
        image = _rendered(figure)
        with file_beside(Path(trainer.default_root_dir) / "pictures" / f"{name}.png") as part:
            image.save(part, "PNG", compress_level=1)  # packing takes longest
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                _log(logger, name, image, max(0, trainer.global_step - 1))  # as Lightning counts


def when(trainer: L.Trainer, stage: str) -> str:
    """Return what tells one picture from the next."""
    return f"{stage} after {trainer.global_step:,} steps" if trainer.global_step else stage


def _draws(trainer: L.Trainer) -> bool:
    return trainer.is_global_zero and not trainer.sanity_checking and not trainer.fast_dev_run  # type: ignore[attr-defined]


def _rendered(figure: Figure) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(_DPI)
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # a name in letters that the font has not
        canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return Image.fromarray(pixels[..., :3])


def _log(logger: TensorBoardLogger, name: str, image: Image.Image, step: int) -> None:
    """Give TensorBoard a picture as JPEG: the PNG of its own `add_image` is ten times as large, and slow to write."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=90, subsampling=0)
    height, width = image.height, image.width
    shown = Summary.Image(encoded_image_string=packed.getvalue(), height=height, width=width, colorspace=3)
    logger.experiment.file_writer.add_summary(Summary(value=[Summary.Value(tag=name, image=shown)]), step)
    logger.experiment.flush()
