"""What holds for every picture: where it goes, when there is none, and who may not be drawn."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from georanker.callbacks.base import Picture
from georanker.callbacks.example_strips import ExampleStrips
from georanker.callbacks.photo_sample import PhotoSample
from georanker.callbacks.score_against_distance import ScoreAgainstDistance
from georanker.callbacks.world_map import WorldMap
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from PIL import Image
from torch import Tensor

from georanker.discovery import classes
from georanker.encoders.conv_net import ConvNet
from georanker.encoders.fourier_location import FourierLocationEncoder
from georanker.ranker import Ranker
from georanker.retrievers.contrastive import ContrastiveRetriever
from georanker.types import GeorankerError, RankingBatch
from tests.callbacks.pictures import ByLatitude, events, loader, ranker, some_lists, trainer, validated

PICTURES = [found for found in classes("georanker.callbacks") if issubclass(found, Picture) and found is not Picture]


@pytest.fixture(params=PICTURES, ids=lambda made: made.__name__)
def picture(request: pytest.FixtureRequest) -> Picture:
    made: Picture = request.param()
    return made


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))


def test_together_they_sample_once_and_draw_what_each_draws_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[int] = []
    add = PhotoSample.add

    def counting(self: PhotoSample, batch: RankingBatch, scores: Tensor) -> None:
        added.append(len(batch))
        add(self, batch, scores)

    monkeypatch.setattr(PhotoSample, "add", counting)

    def drawn(folder: Path, *callbacks: Picture) -> dict[str, bytes]:
        module = ranker()
        made = trainer(folder, *callbacks)
        for _ in range(2):  # the second time as if there had been no first
            made.validate(module, loader(module, some_lists(60)), verbose=False)
        return {path.name: path.read_bytes() for path in folder.rglob("*.png")}

    def each() -> list[Picture]:
        return [ExampleStrips(3), WorldMap(20), ScoreAgainstDistance(50)]

    alone: dict[str, bytes] = {}
    for at, picture in enumerate(each()):
        alone |= drawn(tmp_path / str(at), picture)
    counted = len(added)
    assert drawn(tmp_path / "together", *each()) == alone
    assert len(alone) == 3
    assert 3 * (len(added) - counted) == counted, "each batch is sampled once"


def test_there_are_pictures() -> None:
    assert {found.__name__ for found in PICTURES} >= {"WorldMap", "ExampleStrips", "ScoreAgainstDistance"}


def test_each_epoch_has_one_in_tensorboard_and_the_last_is_a_file(picture: Picture, tmp_path: Path) -> None:
    board = TensorBoardLogger(tmp_path, "logs", "run", default_hp_metric=False)
    made, module = trainer(tmp_path, picture, logger=[board, CSVLogger(tmp_path)], max_epochs=2), ranker()
    found = loader(module, some_lists())
    made.fit(module, found, found)
    made.test(module, found, verbose=False)
    board.finalize("success")
    stages = [Path(name).parent.name for name in files(tmp_path)]
    assert stages == ["test", "val"]
    read = events(tmp_path / "logs/run")
    for name in files(tmp_path):
        tag = name.removeprefix("pictures/").removesuffix(".png")
        images = read.Images(tag)
        assert [image.step for image in images] == ([2, 5] if tag.startswith("val/") else [5])
        with Image.open(tmp_path / name) as file, Image.open(io.BytesIO(images[-1].encoded_image_string)) as logged:
            one, other = (np.asarray(image.convert("RGB"), float) for image in (file, logged))
        assert one.std() > 10, "all is blank"
        assert (images[-1].height, images[-1].width, 3) == one.shape
        assert np.abs(one - other).mean() < 3
    assert [event.step for event in read.Scalars("val/ranked/acc@200km")] == [2, 5], "a picture stands at its figures"


def test_it_is_the_same_whatever_the_batches(picture: Picture, tmp_path: Path) -> None:
    for batch_size in (3, 24):
        validated(tmp_path / str(batch_size), picture, some_lists(), batch_size)
    (name,) = files(tmp_path / "3")
    assert (tmp_path / "3" / name).read_bytes() == (tmp_path / "24" / name).read_bytes()


def test_a_trial_and_the_check_before_training_leave_none(picture: Picture, tmp_path: Path) -> None:
    for settings in ({"fast_dev_run": True}, {"num_sanity_val_steps": 2, "limit_val_batches": 2, "max_steps": 1}):
        made, module = trainer(tmp_path, picture, check_val_every_n_epoch=2, **settings), ranker()
        made.fit(module, loader(module, some_lists()), loader(module, some_lists()))
        assert files(tmp_path) == []
    made, module = trainer(tmp_path, picture, limit_val_batches=0), ranker()
    made.fit(module, loader(module, some_lists()), loader(module, some_lists()))
    assert files(tmp_path) == []


def test_some_batches_are_enough(picture: Picture, tmp_path: Path) -> None:
    validated(tmp_path, picture, some_lists(), limit_val_batches=1)
    assert len(files(tmp_path)) == 1


@pytest.mark.filterwarnings("ignore:the backbone scored candidates NaN")
@pytest.mark.parametrize("unscored_north_of", [0.0, -91.0])
def test_scores_that_are_not_numbers(picture: Picture, unscored_north_of: float, tmp_path: Path) -> None:
    made, module = trainer(tmp_path, picture), Ranker(ByLatitude(unscored_north_of))
    made.validate(module, loader(module, some_lists()), verbose=False)
    drawn = unscored_north_of == 0 or type(picture).__name__ != "ScoreAgainstDistance"
    assert len(files(tmp_path)) == drawn


def test_one_candidate(picture: Picture, tmp_path: Path) -> None:
    validated(tmp_path, picture, some_lists(most=1))
    assert len(files(tmp_path)) == (type(picture).__name__ != "ScoreAgainstDistance")


def test_of_a_photo_of_unknown_place_there_is_no_map(picture: Picture, tmp_path: Path) -> None:
    class Unknowing(Ranker):
        """Validates without truth."""

        def validation_step(self, batch: RankingBatch, batch_idx: int) -> Tensor:
            batch.truth.fill_(float("nan"))
            batch.distances_km.fill_(float("nan"))
            return self(batch)  # type: ignore[no-any-return]

        def on_validation_epoch_end(self) -> None:
            """There are no figures."""

    made, module = trainer(tmp_path, picture), Unknowing(ByLatitude())
    made.validate(module, loader(module, some_lists()), verbose=False)
    assert len(files(tmp_path)) == (type(picture).__name__ == "ExampleStrips")


def test_it_is_for_rankers(picture: Picture, tmp_path: Path) -> None:
    module = ContrastiveRetriever(ConvNet(8), FourierLocationEncoder(8))
    name = type(picture).__name__
    expected = f"trainer.callbacks: {name} draws what a ranker answers, and ContrastiveRetriever is none; leave {name}"
    with pytest.raises(GeorankerError, match=expected) as error:
        trainer(tmp_path, picture).validate(module, [torch.zeros(1)], verbose=False)
    assert "\n" not in str(error.value)


def test_a_ranker_whose_steps_return_no_scores(picture: Picture, tmp_path: Path) -> None:
    class Silent(Ranker):
        """Keeps its scores to itself."""

        def validation_step(self, batch: RankingBatch, batch_idx: int) -> None:  # type: ignore[override]
            super().validation_step(batch, batch_idx)

    made, module = trainer(tmp_path, picture), Silent(ByLatitude())
    with pytest.raises(GeorankerError, match=r"Silent: validation_step and test_step must return the scores \(B, K\)"):
        made.validate(module, loader(module, some_lists()), verbose=False)


def test_a_picture_of_nothing_is_refused(picture: Picture) -> None:
    with pytest.raises(ValueError, match="photos must be at least 1, not 0"):
        type(picture)(photos=0)
