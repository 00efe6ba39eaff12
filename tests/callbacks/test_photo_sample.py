"""A sample of photos is the same whatever way they come, and says what the ranker made of them."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch
from georanker.callbacks.photo_sample import PhotoSample
from georanker.callbacks.ranked_list import RankedList

from georanker.backbones.ranking_collator import RankingCollator
from tests.callbacks.pictures import ByLatitude, some_lists


def sampled(order: list[int], batch_size: int, size: int, unscored_north_of: float = 91.0) -> list[RankedList]:
    sample, found = PhotoSample(size), some_lists(60)
    for start in range(0, len(order), batch_size):
        batch = RankingCollator()([found[index] for index in order[start : start + batch_size]])
        scores = ByLatitude(unscored_north_of)(batch).masked_fill(~batch.mask, float("-inf"))
        sample.add(batch, scores)
    lists: list[RankedList] = sample.lists()
    return lists


@pytest.mark.parametrize("size", [1, 7, 60, 100])
def test_those_with_the_smallest_hashes_whatever_the_order(size: int) -> None:
    expected = sorted((each.photo.id for each in some_lists(60)), key=lambda name: zlib.crc32(name.encode()))[:size]
    shuffled = np.random.default_rng(1).permutation(60).tolist()
    for order, batch_size in ((list(range(60)), 8), (shuffled, 1), (shuffled, 60)):
        assert [each.photo_id for each in sampled(order, batch_size, size)] == expected


def test_candidates_are_ranked_and_without_padding() -> None:
    by_id = {each.photo.id: each for each in some_lists(60)}
    for ranked in sampled(list(range(60)), 60, 60):
        candidates = by_id[ranked.photo_id].candidates
        assert sorted(ranked.columns) == list(range(len(candidates)))
        assert (np.diff(ranked.scores) <= 0).all()
        for column, place, score in zip(ranked.columns, ranked.places, ranked.scores, strict=True):
            assert tuple(place) == (candidates[column].place.latitude, candidates[column].place.longitude)
            assert score == pytest.approx(candidates[column].place.latitude, rel=1e-6)
        photo = by_id[ranked.photo_id].photo
        assert photo.place is not None
        assert tuple(ranked.truth) == (photo.place.latitude, photo.place.longitude)


def test_what_could_not_be_scored_comes_last() -> None:
    lists = sampled(list(range(60)), 60, 60, unscored_north_of=0.0)
    assert any(np.isnan(each.scores).any() for each in lists)
    for each in lists:
        unscored = np.isnan(each.scores)
        assert (np.diff(unscored.astype(int)) >= 0).all()
        assert (each.places[unscored, 0] > 0).all()


def test_no_more_is_kept_than_may_be_needed() -> None:
    batch, sample = RankingCollator()(some_lists(60)), PhotoSample(2)
    sample.add(batch, torch.zeros(60, 6))
    ((_, kept, scores),) = sample._parts
    assert len(kept) == len(scores) == 2
    assert kept.places.untyped_storage().nbytes() == 2 * 6 * 2 * 8, "the batch itself is let go"
    others = [row for row, photo_id in enumerate(batch.photo_ids) if photo_id not in kept.photo_ids]
    sample.add(RankingCollator()([some_lists(60)[row] for row in others]), torch.zeros(58, 6))
    assert len(sample._parts) == 1
