"""What loaders give: photos for retrievers, lists for rankers, the same from any number of workers."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from georanker.backbones.ranking_collator import RankingCollator
from georanker.candidates import write_candidates
from georanker.data.base import Collator
from georanker.data.blue_marble import BlueMarble
from georanker.retrievers.photo_collator import PhotoCollator
from georanker.types import Batch, Candidate, CandidateList, GeorankerError, Photo, PhotoBatch, RankingBatch

quiet = pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on machines of one core


def benchmark(
    folder: Path, collator: Collator | None = None, ranking: bool = False, workers: int = 0, batch_size: int = 4
) -> BlueMarble:
    return BlueMarble(
        candidates=folder / "candidates" if ranking else None,
        batch_size=batch_size,
        num_workers=workers,
        collator=collator,
        tile_size=16,
        cache=folder / "cache",
        seed=3,
        gallery_size=64,
        retriever_train_size=22,
        train_size=18,
        val_size=7,
        test_size=9,
    )


@pytest.fixture
def folder(small_earth: Path, tmp_path: Path) -> Path:
    """Candidates for each photo: one to three places of the gallery."""
    data = benchmark(tmp_path)
    gallery = data.photos("gallery")
    for split in ("train", "val", "test"):
        lists = (
            CandidateList(photo, tuple(Candidate(g.place, 1.0, g) for g in gallery[row : row + 1 + row % 3] if g.place))
            for row, photo in enumerate(data.photos(split))
        )
        write_candidates(tmp_path / "candidates" / f"{split}.parquet", lists, "abc", None)
    return tmp_path


def same(one: Sequence[Batch], two: Sequence[Batch]) -> bool:
    def photo_pixels(batch: Batch) -> torch.Tensor:
        return batch.pixels if isinstance(batch, PhotoBatch) else torch.zeros(0)

    def distances(batch: Batch) -> torch.Tensor:
        return batch.distances_km.nan_to_num(-1) if isinstance(batch, RankingBatch) else torch.zeros(0)

    return len(one) == len(two) and all(
        a.photo_ids == b.photo_ids
        and torch.equal(photo_pixels(a), photo_pixels(b))
        and torch.equal(distances(a), distances(b))
        for a, b in zip(one, two, strict=True)
    )


@quiet
@pytest.mark.parametrize("workers", [0, 2])
def test_photos_for_retrievers(folder: Path, workers: int) -> None:
    data = benchmark(folder, PhotoCollator(16), workers=workers)
    val = list(data.val_dataloader())
    assert all(type(batch) is PhotoBatch for batch in val)
    assert [batch.photo_ids for batch in val] == [
        tuple(f"val/7-{index}" for index in range(4)),
        tuple(f"val/7-{index}" for index in range(4, 7)),
    ]
    photos = data.photos("val")
    assert same(val, [PhotoCollator(16)(photos[:4]), PhotoCollator(16)(photos[4:])])
    train = [photo_id for batch in data.train_dataloader() for photo_id in batch.photo_ids]
    assert len(set(train)) == len(train) == 20, "a batch that is not full is left out of training"
    assert set(train) < {f"retriever_train/22-{index}" for index in range(22)}


@quiet
@pytest.mark.parametrize("workers", [0, 2])
def test_lists_for_rankers(folder: Path, workers: int) -> None:
    data = benchmark(folder, RankingCollator(), ranking=True, workers=workers)
    for split, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
        batches = list(loader)
        assert all(type(batch) is RankingBatch for batch in batches)
        found = [photo_id for batch in batches for photo_id in batch.photo_ids]
        assert found == [photo.id for photo in data.photos(split)]
        assert all(batch.lists == () for batch in batches)
        assert batches[0].mask.sum(1).tolist() == [1, 2, 3, 1]
    train = [photo_id for batch in data.train_dataloader() for photo_id in batch.photo_ids]
    assert len(set(train)) == 16
    assert all(photo_id.startswith("train/18-") for photo_id in train)


@quiet
@pytest.mark.parametrize("ranking", [False, True])
def test_workers_change_nothing(folder: Path, ranking: bool) -> None:
    collator = RankingCollator() if ranking else PhotoCollator(16)
    alone, helped = (benchmark(folder, collator, ranking, workers).train_dataloader() for workers in (0, 2))
    for epoch in range(2):
        for loader in (alone, helped):
            loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        assert same(list(alone), list(helped))


def test_predictions_keep_their_lists(folder: Path) -> None:
    data = benchmark(folder, RankingCollator(), ranking=True)
    batches = list(data.predict_dataloader())
    assert [found for batch in batches for found in batch.lists] == list(data.lists("test"))
    source = batches[0].lists[0].candidates[0].photo.source
    assert source is data.gallery_source
    photos = list(benchmark(folder, PhotoCollator(16)).predict_dataloader())
    assert same(photos, list(benchmark(folder, PhotoCollator(16)).test_dataloader()))


class Broken:
    """A source whose bytes are no image."""

    def read(self, photo_id: str) -> bytes:
        return b"not an image"


@quiet
@pytest.mark.parametrize("workers", [0, 1])
def test_a_worker_says_which_photo_is_broken(folder: Path, workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL", 0.1)  # torch waits so long for the worker
    photos = [*benchmark(folder).photos("val")[:3], Photo("holiday.jpg", None, Broken())]
    loader = benchmark(folder, workers=workers).loader(photos, PhotoCollator(16))
    with pytest.raises(GeorankerError, match=r"photo holiday\.jpg: not an image"):
        list(loader)
    del loader
    gc.collect()


def test_a_batch_larger_than_the_items_is_named(folder: Path) -> None:
    data = benchmark(folder, RankingCollator(), ranking=True, batch_size=19)
    with pytest.raises(GeorankerError, match=r"^18 items .* batch of 19 .* set a smaller data\.batch_size$"):
        data.train_dataloader()
    assert len(list(data.val_dataloader())) == 1, "evaluation needs no full batch"
    assert len(list(benchmark(folder, RankingCollator(), ranking=True, batch_size=18).train_dataloader())) == 1


def test_settings_that_cannot_be(folder: Path) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, not 0"):
        BlueMarble(batch_size=0)
    with pytest.raises(GeorankerError, match=r"data\.collator is not set"):
        benchmark(folder).val_dataloader()
    with pytest.raises(GeorankerError, match=r"data\.candidates is not set"):
        benchmark(folder).lists("val")
    (folder / "candidates" / "val.parquet").unlink()
    with pytest.raises(GeorankerError, match=r"val\.parquet: not there; make it with `georanker retrieve`"):
        benchmark(folder, RankingCollator(), ranking=True).val_dataloader()


def test_the_seed_is_that_of_seed_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "41")
    assert BlueMarble().seed == 41
    assert BlueMarble(seed=7).seed == 7
    monkeypatch.delenv("PL_GLOBAL_SEED")
    assert BlueMarble().seed == 0
