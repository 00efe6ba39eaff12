"""Lists become batches: each number in its place, padding where nothing is, and faults by their photo."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from georanker.backbones.embedding_collator import EmbeddingCollator
from georanker.backbones.ranking_collator import RankingCollator
from georanker.geodesy import geodesic_km
from georanker.types import Candidate, CandidateList, GeorankerError, Photo, Place

DIM = 128
ROWS = 40
MakeLists = Callable[[int, int], list[CandidateList]]

some = settings(deadline=None, derandomize=True, max_examples=20)


@some
@given(seed=st.integers(0, 1000), count=st.integers(1, 5))
def test_each_number_in_its_place(seed: int, count: int, lists: MakeLists) -> None:
    some_lists = lists(count, seed)
    batch = RankingCollator()(some_lists)
    assert batch.photo_ids == tuple(found.photo.id for found in some_lists)
    assert batch.mask.shape == (count, max(map(len, some_lists)))
    assert (batch.places.dtype, batch.truth.dtype, batch.distances_km.dtype) == (torch.float64,) * 3
    assert (batch.retrieval_scores.dtype, batch.mask.dtype) == (torch.float32, torch.bool)
    for row, found in enumerate(some_lists):
        truth = found.photo.place
        assert batch.mask[row].tolist() == [column < len(found) for column in range(batch.mask.shape[1])]
        for column, candidate in enumerate(found.candidates):
            place = torch.tensor([candidate.place.latitude, candidate.place.longitude], dtype=torch.float64)
            assert torch.equal(batch.places[row, column], place)
            assert batch.retrieval_scores[row, column] == candidate.score
            if truth:
                point = torch.tensor([truth.latitude, truth.longitude], dtype=torch.float64)
                assert torch.equal(batch.truth[row], point)
                assert batch.distances_km[row, column] == geodesic_km(point, place)
        assert batch.places[row, len(found) :].isnan().all()
        assert batch.distances_km[row, len(found) :].isnan().all()
        assert (batch.retrieval_scores[row, len(found) :] == 0).all()
        if truth is None:
            assert batch.truth[row].isnan().all()
            assert batch.distances_km[row].isnan().all()


@some
@given(seed=st.integers(0, 1000), count=st.integers(1, 5))
def test_vectors_come_from_the_gallery(seed: int, count: int, lists: MakeLists, gallery: Path) -> None:
    some_lists = lists(count, seed)
    stored = {"photos": np.load(gallery / "embeddings.npy"), "locations": np.load(gallery / "location_embeddings.npy")}
    batch = EmbeddingCollator()(some_lists)
    assert batch.inputs.keys() == {"query", "photos", "locations"}
    assert all(tensor.dtype == torch.float32 for tensor in batch.inputs.values())
    for row, found in enumerate(some_lists):
        np.testing.assert_array_equal(batch.inputs["query"][row], found.embedding)
        for name, vectors in stored.items():
            expected = np.zeros((batch.mask.shape[1], DIM), np.float32)
            for column, candidate in enumerate(found.candidates):
                if candidate.gallery_row is not None:
                    expected[column] = vectors[candidate.gallery_row]
            np.testing.assert_array_equal(batch.inputs[name][row], expected)


def test_a_list_of_guesses_alone(lists: MakeLists) -> None:
    (found,) = lists(1, 0)
    guesses = replace(found, candidates=(Candidate(Place(1, 2)), Candidate(Place(3, 4))))
    batch = EmbeddingCollator()([guesses])
    assert not batch.inputs["photos"].any()
    assert not batch.inputs["locations"].any()


def test_lists_of_two_galleries(lists: MakeLists, tmp_path: Path) -> None:
    one, two = lists(2, 1)
    for name in ("embeddings", "location_embeddings"):
        np.save(tmp_path / f"{name}.npy", np.full((1, DIM), 5, np.float32))
    two = replace(two, gallery=str(tmp_path), candidates=(Candidate(Place(0, 0), gallery_row=0),))
    batch = EmbeddingCollator()([one, two])
    assert (batch.inputs["photos"][1, 0] == 5).all()
    assert torch.equal(batch.inputs["photos"][0], EmbeddingCollator()([one]).inputs["photos"][0])


def wrong_row(row: int) -> tuple[Candidate, ...]:
    return Candidate(Place(0, 0), gallery_row=3), Candidate(Place(0, 0), gallery_row=row)


def test_lists_that_do_not_fit_are_named(lists: MakeLists, gallery: Path, tmp_path: Path) -> None:
    good, found = lists(2, 2)
    short = np.ones(5, np.float32)
    for wrong, fault in (
        (replace(found, embedding=None), "has no embedding or names no gallery; .*`georanker retrieve`"),
        (replace(found, gallery=""), "has no embedding or names no gallery"),
        (
            replace(found, candidates=wrong_row(ROWS)),
            f"gallery_row {ROWS} is beyond the {ROWS} rows of gallery {gallery}",
        ),
        (replace(found, embedding=short), f"embedding has 5 numbers, but the vectors of gallery {gallery} have {DIM}"),
        (replace(found, embedding=np.array(1.0)), "embedding has 1 numbers"),
    ):
        with pytest.raises(GeorankerError, match=f"^photo {found.photo.id}: .*{fault}"):
            EmbeddingCollator()([good, wrong])
    assert EmbeddingCollator()([replace(found, candidates=wrong_row(ROWS - 1))])
    with pytest.raises(GeorankerError, match=f"gallery {tmp_path}: its vectors cannot be read"):
        EmbeddingCollator()([replace(found, gallery=str(tmp_path))])


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x01\x00\x0a\x00{'shape': ("])
def test_a_damaged_gallery_is_named(content: bytes, lists: MakeLists, tmp_path: Path) -> None:
    for name in ("embeddings.npy", "location_embeddings.npy"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(GeorankerError, match=f"gallery {tmp_path}: its vectors cannot be read"):
        EmbeddingCollator()([replace(lists(1, 0)[0], gallery=str(tmp_path))])


def test_double_precision_becomes_single(lists: MakeLists) -> None:
    (found,) = lists(1, 3)
    assert found.embedding is not None
    batch = EmbeddingCollator()([replace(found, embedding=found.embedding.astype(np.float64))])
    assert batch.inputs["query"].dtype == torch.float32


def test_antipodes_and_poles() -> None:
    truth = Place(90.0, 12.0)
    places = (Place(90.0, -170.0), Place(-90.0, 0.0), Place(0.0, 180.0))
    batch = RankingCollator()([CandidateList(Photo("a", truth), tuple(map(Candidate, places)))])
    assert batch.distances_km[0].tolist() == pytest.approx([0, 20003.931, 10001.966], abs=1e-3)
    assert not math.isnan(batch.distances_km.sum().item())
