"""The two backbones that are not trained, against their definitions."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from georanker.backbones.consensus import ConsensusBackbone
from georanker.backbones.similarity import SimilarityBackbone
from georanker.geodesy import EARTH_RADIUS_KM
from georanker.types import Candidate, CandidateList, Photo, Place

MakeLists = Callable[[int, int], list[CandidateList]]


def km(one: Place, other: Place) -> float:
    """Great circle by the angle between unit vectors, unlike the code's haversine."""

    def vector(place: Place) -> tuple[float, float, float]:
        latitude, longitude = math.radians(place.latitude), math.radians(place.longitude)
        return math.cos(latitude) * math.cos(longitude), math.cos(latitude) * math.sin(longitude), math.sin(latitude)

    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.dist(vector(one), vector(other)) / 2))


@settings(deadline=None, derandomize=True, max_examples=25)
@given(seed=st.integers(0, 1000), scale_km=st.floats(1, 5000))
def test_consensus_is_a_double_loop(seed: int, scale_km: float, lists: MakeLists) -> None:
    some_lists = lists(3, seed)
    backbone = ConsensusBackbone(scale_km)
    scores = backbone(backbone.collator(some_lists))
    for row, found in enumerate(some_lists):
        for i, one in enumerate(found.candidates):
            support = sum(math.exp(-km(one.place, other.place) / scale_km) for other in found.candidates)
            assert scores[row, i].item() == pytest.approx(math.log(support), abs=1e-5)


def test_consensus_prefers_the_crowd() -> None:
    places = [Place(10, 10), Place(48.1, 2.1), Place(48.2, 2.2), Place(48.0, 2.0), Place(-30, 150)]
    backbone = ConsensusBackbone()
    scores = backbone(backbone.collator([CandidateList(Photo("a"), tuple(map(Candidate, places)))]))
    assert scores.argmax() == 1
    assert scores[0, [0, 4]].tolist() == pytest.approx([0, 0], abs=1e-4), "alone, a candidate supports itself only"


def test_consensus_across_the_antimeridian() -> None:
    places = [Place(0, 179.9), Place(0, -179.9), Place(0, 0)]
    backbone = ConsensusBackbone()
    scores = backbone(backbone.collator([CandidateList(Photo("a"), tuple(map(Candidate, places)))]))[0]
    assert scores[0] == scores[1] > scores[2]


@pytest.mark.parametrize("scale_km", [0.0, -1.0, math.nan])
def test_a_scale_that_cannot_be(scale_km: float) -> None:
    with pytest.raises(ValueError, match=f"scale_km must be positive, not {scale_km:g}"):
        ConsensusBackbone(scale_km)


def test_similarity_is_the_retrieval_score(lists: MakeLists) -> None:
    some_lists = lists(5, 7)
    backbone = SimilarityBackbone()
    scores = backbone(backbone.collator(some_lists))
    for row, found in enumerate(some_lists):
        assert scores[row, : len(found)].tolist() == [candidate.score for candidate in found.candidates]
    assert scores.dtype == torch.float32
