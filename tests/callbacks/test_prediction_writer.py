"""The file of answers, written through the command that users run."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import pyarrow.parquet as pq
import pytest
import torch
from georanker.callbacks import PredictionWriter

from georanker.candidates import CandidatesFile
from georanker.cli import run_trainer
from georanker.ranker import Ranker
from tests.conftest import ROOT


def test_one_row_a_photo(small_run: Path, small_data: list[str], tmp_path: Path) -> None:
    config = f"--config={ROOT / 'configs/experiment/blue_marble_consensus.yaml'}"
    cli = run_trainer(
        ["predict", config, *small_data, f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=False"]
    )
    rows = pq.read_table(tmp_path / "predictions.parquet").to_pylist()
    lists = CandidatesFile(small_run / "candidates" / "test.parquet")
    assert isinstance(cli.model, Ranker)
    answers = cli.model.rank(lists[:])
    assert [row["photo_id"] for row in rows] == [each.photo.id for each in lists]
    for row, answer in zip(rows, answers, strict=True):
        assert (row["latitude"], row["longitude"]) == (answer.place.latitude, answer.place.longitude)
        assert row["error_km"] == pytest.approx(answer.error_km)
        assert len(row["candidates"]) == len(answer.candidates)
        scores = [candidate["score"] for candidate in row["candidates"]]
        assert scores == sorted(scores, reverse=True)


def test_nothing_half_written(tmp_path: Path) -> None:
    class Broken(L.LightningModule):
        def predict_step(self, batch: torch.Tensor, batch_idx: int) -> list[object]:
            if batch_idx:
                raise RuntimeError("the power is gone")
            return []

    writer = PredictionWriter(tmp_path / "answers.parquet")
    trainer = L.Trainer(
        accelerator="cpu", logger=False, callbacks=[writer], enable_progress_bar=False, enable_model_summary=False
    )
    with pytest.raises(RuntimeError, match="the power is gone"):
        trainer.predict(Broken(), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.zeros(2))))
    assert not list(tmp_path.iterdir())
