"""The one line that people look at for hours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import rich
from georanker.callbacks import CalmProgressBar, PredictionWriter
from lightning.pytorch.callbacks import Callback

from georanker.ranker import Ranker
from tests.scoring_world import ByPlace, ManyPhotos, Witness, some_lists, write_lists

pytestmark = pytest.mark.filterwarnings("ignore:the backbone scored candidates NaN")


class Reads(Callback):
    """Reads the bar after each batch."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []
        self.told = ""

    def on_predict_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        bar = trainer.progress_bar_callback
        assert isinstance(bar, CalmProgressBar)
        assert bar.progress is not None
        (task,) = bar.progress.tasks
        self.seen.append((int(task.completed), int(task.total or 0)))
        self.told = str(bar.progress.columns[2](task))


@pytest.fixture(autouse=True)
def _own_console() -> Iterator[None]:
    yield
    rich.reconfigure()


def predict(folder: Path, batch_size: int, *callbacks: Callback, **settings: Any) -> Reads:
    reads, ranker = Reads(), Ranker(ByPlace())
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[PredictionWriter(), CalmProgressBar(), *callbacks, reads],
        enable_model_summary=False,
        default_root_dir=folder,
        **settings,
    )
    candidates = write_lists(folder / "candidates", some_lists(1100))
    data = ManyPhotos(candidates, batch_size, collator=ranker.collator)
    trainer.predict(ranker, datamodule=data, return_predictions=False)
    return reads


def test_it_counts_photos_and_those_of_before(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        predict(tmp_path, 100, Witness(tmp_path, broken_at=4))
    reads = predict(tmp_path, 150, Witness(tmp_path))
    assert reads.seen == [(number, 1100) for number in (550, 700, 850, 1000, 1100)]
    assert re.fullmatch(r"1,100/1,100 photos • [\d,]+ photos/s • 0:00:00 left", reads.told)


def test_a_part_of_the_photos(tmp_path: Path) -> None:
    assert predict(tmp_path, 10, limit_predict_batches=3).seen == [(10, 30), (20, 30), (30, 30)]


def test_a_log_gets_a_line_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(tmp_path, 500)
    assert capsys.readouterr().out.count("/1,100 photos") == 1, "the bar as it ends"
    monkeypatch.setattr(f"{CalmProgressBar.__module__}._SECONDS_A_LINE", 0.0)
    predict(tmp_path, 500)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Predicting 500/1,100 photos"
    assert re.fullmatch(r"Predicting 1,000/1,100 photos • [\d,]+ photos/s • 0:00:\d\d left", lines[1])
