"""Writes the answers to a file that other programs read."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from georanker.answers import FORMAT_VERSION, SCHEMA, fingerprint, row
from georanker.candidate_table import CandidateTable
from georanker.data.base import GeoDataModule
from georanker.parts import Parts, check_distinct
from georanker.types import GeorankerError, Localization, NothingReadError

_OTHERWISE = "delete it to start anew, or give PredictionWriter another path"


class PredictionWriter(Callback):
    """Writes one row a photo: the answer, the truth, and the ranked candidates.

    The answers so far lie in a folder beside the file (predictions.parts for predictions.parquet), in small files that
    each process writes as it goes. When all photos are answered they become the one file, in the order of the split,
    and the folder is removed; with the same `batch_size` the file is the same for any number of processes. Whatever
    ends a run before, kill -9 or an error, the folder stays: the same command then asks only the photos that are left.
    It refuses a folder with the answers of another ranker or about other photos. Processes on several machines need a
    disk that all of them see.

    A run that `limit_predict_batches` or `fast_dev_run` cuts short is a trial: its file holds the photos that it came
    to, it neither uses nor touches the answers of a longer run, and it does not go on where another ended.

    Args:
        path: the parquet file; None for predictions.parquet in the trainer's root folder.
        photos_a_shard: a process writes its answers down after so many photos.
        seconds_a_shard: or after so many seconds, whichever is first.
    """

    def __init__(self, path: Path | None = None, photos_a_shard: int = 256, seconds_a_shard: float = 60.0) -> None:
        if photos_a_shard < 1:
            raise ValueError(f"photos_a_shard must be at least 1, not {photos_a_shard}")
        self.path = path
        self.photos_a_shard = photos_a_shard
        self.seconds_a_shard = seconds_a_shard
        self._parts: Parts | None = None
        self._target = Path()
        self._photo_ids: list[str] = []
        self._trial = False
        self._rows: list[dict[str, object]] = []
        self._written_at = 0.0

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Have the data ask for the photos that are left, which it does when the ranker has its weights."""
        if stage != "predict":
            return
        data = _data(trainer)
        data.unanswered = functools.partial(self._begin, trainer, pl_module)
        data.allow_zero_length_dataloader_with_multiple_devices = True  # one photo may be left for two processes

    def _begin(self, trainer: L.Trainer, pl_module: L.LightningModule, lists: CandidateTable) -> list[int]:
        """Find out what was answered before, and return the rows that are left, the same in each process."""
        self._target = Path(self.path or Path(trainer.default_root_dir) / "predictions.parquet")
        self._photo_ids = lists.photo_ids
        limit = trainer.limit_predict_batches
        self._trial = isinstance(limit, int) or limit != 1.0
        saved = {"state_dict": trainer.strategy.lightning_module_state_dict()}  # of all processes, if spread over them
        pl_module.on_save_checkpoint(saved)  # leaves out what is not trained
        origin = {"ranker": "", "photos": ""}
        left: list[int] | str = []
        if trainer.is_global_zero:
            ranker = fingerprint(pl_module, saved["state_dict"], str(trainer.precision))
            origin = {"ranker": ranker, "photos": _data(trainer).fingerprint(lists)}
        origin = trainer.strategy.broadcast(origin)
        folder = self._target.with_suffix(".trial" if self._trial else ".parts")
        parts = Parts(folder, SCHEMA, {"format": str(FORMAT_VERSION), **origin}, _OTHERWISE)
        if trainer.is_global_zero:
            try:
                left = self._left(parts, lists)
            except GeorankerError as error:  # in all processes, or the others would wait
                left = str(error)
        left = trainer.strategy.broadcast(left)
        if isinstance(left, str):
            raise GeorankerError(left)
        self._parts, self._rows, self._written_at = parts, [], time.monotonic()
        return left

    def _left(self, parts: Parts, lists: CandidateTable) -> list[int]:
        check_distinct(self._photo_ids, lists.origin)
        if self._trial:
            parts.remove()
        answered = parts.begin()
        return [at for at, photo_id in enumerate(self._photo_ids) if photo_id not in answered]

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Sequence[Localization],
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the answers of a batch, and write them down when there are enough, or it is time."""
        self._rows += [row(answer) for answer in outputs]
        if len(self._rows) >= self.photos_a_shard or time.monotonic() - self._written_at >= self.seconds_a_shard:
            self._write()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Make the file: here, and not when predicting ends, because a process without photos never predicts."""
        if self._parts is None:
            return
        self._write()
        trainer.strategy.barrier("answers are written")
        if trainer.is_global_zero:
            self._parts.merge(self._target, self._photo_ids, whole=not self._trial)
            self._parts.remove()
        trainer.strategy.barrier("answers are merged")
        self._end(trainer)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Keep the answers so far; of a trial nothing stays."""
        if self._parts is not None and self._trial:
            if trainer.is_global_zero:
                self._parts.remove()
        elif self._parts is not None and isinstance(exception, NothingReadError):
            self._rows = []
            self._parts.withdraw()  # or they would stay when the photos are found
        elif self._parts is not None:
            self._write()
            if trainer.is_global_zero and any(self._parts.folder.glob("*.parquet")):
                told = "the answers so far are kept in %s; the same command goes on from there"
                logging.getLogger("georanker").warning(told, self._parts.folder)
        self._end(trainer)

    def _write(self) -> None:
        rows, self._rows = self._rows, []
        self._written_at = time.monotonic()
        if rows and self._parts is not None:
            self._parts.add(rows)

    def _end(self, trainer: L.Trainer) -> None:
        self._parts, self._rows, self._photo_ids = None, [], []
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, GeoDataModule):
            data.unanswered = None
            data.allow_zero_length_dataloader_with_multiple_devices = False


def _data(trainer: L.Trainer) -> GeoDataModule:
    data = getattr(trainer, "datamodule", None)
    if not isinstance(data, GeoDataModule):
        raise GeorankerError("PredictionWriter needs to know all photos: give trainer.predict a GeoDataModule")
    return data
