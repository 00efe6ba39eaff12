"""Writes the answers to a file that other programs read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import lightning as L
import pyarrow as pa
import pyarrow.parquet as pq
from lightning.pytorch.callbacks import Callback

from georanker.files import file_beside
from georanker.types import Localization

_POINT = {"latitude": pa.float64(), "longitude": pa.float64()}
_CANDIDATE = pa.struct({**_POINT, "score": pa.float32(), "photo_id": pa.string(), "source": pa.string()})
SCHEMA = pa.schema(
    {
        "photo_id": pa.string(),
        **_POINT,
        "score": pa.float32(),
        "retrieved_latitude": pa.float64(),
        "retrieved_longitude": pa.float64(),
        "true_latitude": pa.float64(),
        "true_longitude": pa.float64(),
        "error_km": pa.float64(),
        "candidates": pa.list_(_CANDIDATE),
    }
)


class PredictionWriter(Callback):
    """Writes one row a photo, as `predict` goes: the answer, the truth, and the ranked candidates.

    Each process of several writes its own file, with its rank in the name. The file appears when it is whole.

    Args:
        path: the parquet file; None for predictions.parquet in the trainer's root folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._file: AbstractContextManager[Path] | None = None
        self._writer: pq.ParquetWriter | None = None

    def on_predict_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the file."""
        path = self.path or Path(trainer.default_root_dir) / "predictions.parquet"
        if trainer.world_size > 1:
            path = path.with_stem(f"{path.stem}-{trainer.global_rank}")
        self._file = file_beside(path)
        self._writer = pq.ParquetWriter(self._file.__enter__(), SCHEMA)

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Sequence[Localization],
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Write the answers of a batch."""
        assert self._writer is not None
        self._writer.write_table(pa.Table.from_pylist([_row(answer) for answer in outputs], SCHEMA))

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the file into its place."""
        self._close(None)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Leave no part of a file behind."""
        self._close(exception)

    def _close(self, exception: BaseException | None) -> None:
        if self._writer is None or self._file is None:
            return
        self._writer.close()
        if exception is None:
            self._file.__exit__(None, None, None)
        else:
            try:
                self._file.__exit__(type(exception), exception, exception.__traceback__)
            except BaseException as raised:
                if raised is not exception:
                    raise
        self._writer = self._file = None


def _row(answer: Localization) -> dict[str, object]:
    truth = answer.photo.place
    return {
        "photo_id": answer.photo.id,
        "latitude": answer.place.latitude,
        "longitude": answer.place.longitude,
        "score": answer.score,
        "retrieved_latitude": answer.retrieved.place.latitude,
        "retrieved_longitude": answer.retrieved.place.longitude,
        "true_latitude": truth.latitude if truth else None,
        "true_longitude": truth.longitude if truth else None,
        "error_km": answer.error_km,
        "candidates": [
            {
                "latitude": candidate.place.latitude,
                "longitude": candidate.place.longitude,
                "score": candidate.score,
                "photo_id": candidate.photo.id if candidate.photo else None,
                "source": candidate.source,
            }
            for candidate in answer.candidates
        ],
    }
