"""The file of answers, written through the command that users run."""

from __future__ import annotations

import gc
import json
import logging
from pathlib import Path
from typing import Any

import lightning as L
import pyarrow.parquet as pq
import pytest
import torch
from georanker.callbacks import PredictionWriter
from lightning.pytorch.callbacks import Callback

from georanker.answers import SCHEMA
from georanker.candidates import CandidatesFile
from georanker.cli import run_trainer
from georanker.data.base import GeoDataModule
from georanker.ranker import Ranker
from georanker.types import GeorankerError, Localization
from tests.conftest import ROOT
from tests.scoring_world import PHOTOS, ByPlace, ManyPhotos, Witness, asked, command, some_lists, write_lists

unreadable = pytest.mark.filterwarnings("ignore:the backbone scored candidates NaN")


def predict(folder: Path, *callbacks: Callback, photos: int = PHOTOS, **settings: Any) -> L.Trainer:
    """Score some photos in this process, one a batch."""
    ranker = Ranker(ByPlace())
    candidates = write_lists(folder / "candidates", some_lists(photos))
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **settings,
    )
    data = ManyPhotos(candidates, collator=ranker.collator)
    try:
        trainer.predict(ranker, datamodule=data, return_predictions=False)
    finally:
        assert data.unanswered is None
        assert not data.allow_zero_length_dataloader_with_multiple_devices, "fit would hang"
    return trainer


def test_one_row_a_photo(small_run: Path, small_data: list[str], tmp_path: Path) -> None:
    config = f"--config={ROOT / 'configs/experiment/blue_marble_consensus.yaml'}"
    cli = run_trainer(
        ["predict", config, *small_data, f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=False"]
    )
    assert pq.read_schema(tmp_path / "predictions.parquet").equals(SCHEMA)
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


@unreadable
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_keeps_the_answers_so_far(
    error: type[BaseException], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Callback):
        def on_predict_batch_start(self, *_: Any) -> None:
            if len(asked_for) == 7:
                raise error("the power is gone")
            asked_for.append(1)

    asked_for: list[int] = []
    with pytest.raises((error, SystemExit)), caplog.at_level(logging.WARNING, "georanker"):
        predict(tmp_path, Broken(), PredictionWriter(photos_a_shard=5))
    parts = tmp_path / "predictions.parts"
    assert not (tmp_path / "predictions.parquet").exists()
    assert sum(pq.read_metadata(file).num_rows for file in parts.glob("*.parquet")) == 7
    assert caplog.messages[-1] == f"the answers so far are kept in {parts}; the same command goes on from there"

    predict(tmp_path, PredictionWriter(), Witness(tmp_path))
    assert len(asked(tmp_path)) == PHOTOS - 7
    assert pq.read_metadata(tmp_path / "predictions.parquet").num_rows == PHOTOS
    assert not parts.exists()


@unreadable
def test_what_cannot_be_read_ranks_last(tmp_path: Path) -> None:
    predict(tmp_path, PredictionWriter(tmp_path / "deep" / "answers.parquet"))
    rows = pq.read_table(tmp_path / "deep" / "answers.parquet").to_pylist()
    assert len(rows) == PHOTOS
    alone = 0
    for row, found in zip(rows, some_lists(), strict=True):
        broken = [candidate["latitude"] < -60 for candidate in row["candidates"]]
        assert broken == sorted(broken)
        assert len(broken) == len(found)
        for candidate, is_broken in zip(row["candidates"], broken, strict=True):
            assert (candidate["score"] is None) == is_broken
        alone += all(broken)
    assert alone, "a photo of which nothing can be read has an answer too"


@unreadable
def test_a_shard_after_some_photos_or_some_seconds(tmp_path: Path) -> None:
    class Sizes(Callback):
        def on_predict_end(self, *_: Any) -> None:
            files = (tmp_path / "predictions.parts").glob("*.parquet")
            sizes.append(sorted(pq.read_metadata(file).num_rows for file in files))

    sizes: list[list[int]] = []
    predict(tmp_path, PredictionWriter(photos_a_shard=10), Sizes())
    predict(tmp_path, PredictionWriter(photos_a_shard=1000, seconds_a_shard=0), Sizes())
    predict(tmp_path, PredictionWriter(), Sizes())
    assert sizes == [[10] * 6, [1] * PHOTOS, []]


@unreadable
def test_a_trial_leaves_a_longer_run_alone(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    predict(whole, PredictionWriter())
    with pytest.raises(RuntimeError):
        predict(tmp_path, PredictionWriter(photos_a_shard=4), Witness(tmp_path, broken_at=9))
    for settings, rows in (({"fast_dev_run": 2}, 2), ({"limit_predict_batches": 1}, 1), ({"fast_dev_run": True}, 1)):
        predict(tmp_path, PredictionWriter(), **settings)
        table = pq.read_table(tmp_path / "predictions.parquet")
        assert table["photo_id"].to_pylist() == [f"photo-{number}" for number in range(rows)]
        assert not list(tmp_path.glob("*.trial"))
    with pytest.raises(RuntimeError):
        predict(tmp_path, PredictionWriter(photos_a_shard=1), Witness(tmp_path, broken_at=2), limit_predict_batches=3)
    assert not list(tmp_path.glob("*.trial"))
    asked(tmp_path)
    predict(tmp_path, PredictionWriter(), Witness(tmp_path), limit_predict_batches=1.0)
    assert len(asked(tmp_path)) == PHOTOS - 9
    assert (tmp_path / "predictions.parquet").read_bytes() == (whole / "predictions.parquet").read_bytes()


@unreadable
def test_the_command_line_keeps_no_answers(tmp_path: Path) -> None:
    """However many photos there are, a few answers are in memory, and the rows of one shard at most."""
    folder = write_lists(tmp_path / "candidates", some_lists(200))
    Counts.most, Counts.others = 0, answers_in_memory()
    args = command(folder, tmp_path, f"--trainer.callbacks+={__name__}.Counts")
    assert run_trainer(args).config["predict"]["return_predictions"] is False
    assert pq.read_metadata(tmp_path / "predictions.parquet").num_rows == 200
    assert 1 <= Counts.most <= 2
    Counts.kept = []
    run_trainer([*args, f"--trainer.default_root_dir={tmp_path / 'again'}"])
    Counts.kept, Counts.others = None, []
    assert Counts.most > 100, "the count must see answers that are kept"


class Counts(Callback):
    """Counts this run's answers in memory, now and then."""

    most = 0
    others: list[Localization] = []  # noqa: RUF012  what other tests of this process keep
    kept: list[object] | None = None

    def on_predict_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, *rest: Any) -> None:
        (writer,) = (each for each in trainer.callbacks if isinstance(each, PredictionWriter))  # type: ignore[attr-defined]
        assert len(writer._rows) < 4
        if Counts.kept is not None:
            Counts.kept.append(rest[0])
        if rest[2] % 50 == 49:
            Counts.most = max(Counts.most, len(answers_in_memory()) - len(Counts.others))


def answers_in_memory() -> list[Localization]:
    gc.collect()  # what waits to be collected is not kept
    return [each for each in gc.get_objects() if type(each) is Localization]


def test_it_says_whose_answers_they_are(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        predict(tmp_path, PredictionWriter(), Witness(tmp_path, broken_at=0))
    origin = json.loads((tmp_path / "predictions.parts" / "origin.json").read_text())
    assert set(origin) == {"format", "ranker", "photos"}


def test_settings_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="photos_a_shard must be at least 1, not 0"):
        PredictionWriter(photos_a_shard=0)
    trainer = L.Trainer(
        accelerator="cpu", logger=False, callbacks=[PredictionWriter(tmp_path / "a.parquet")], enable_progress_bar=False
    )
    with pytest.raises(GeorankerError, match=r"^PredictionWriter needs to know all photos: .* GeoDataModule$"):
        trainer.predict(Ranker(ByPlace()), torch.utils.data.DataLoader([0]))  # type: ignore[arg-type]
    with pytest.raises(GeorankerError, match=r"data\.candidates is not set"):
        trainer.predict(Ranker(ByPlace()), datamodule=NoLists(collator=ByPlace().collator))
    assert not list(tmp_path.iterdir())


class NoLists(ManyPhotos):
    """Data without candidates."""


def test_data_without_a_writer_give_everything(tmp_path: Path) -> None:
    data: GeoDataModule = ManyPhotos(write_lists(tmp_path, some_lists(9)), 4, collator=ByPlace().collator)
    loader = data.predict_dataloader()
    assert not isinstance(loader, list)
    assert [len(batch) for batch in loader] == [4, 4, 1]
    assert (data.answered, data.left) == (0, 9)
