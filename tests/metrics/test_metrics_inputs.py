"""What metrics refuse, and what they make of missing answers, NaN scores and ties."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from georanker.geodesy import geodesic_km
from georanker.metrics.inputs import FARTHEST_KM, chosen_km, cleaned_lists, errors_km, retrieved_km, within

NAN = math.nan
PLACES = torch.tensor([[10.0, 20.0], [30.0, 40.0]])


def choice(scores: list[float], mask: list[bool] | None = None) -> float:
    """The distance of the choice from a list whose distances are 0, 1, 2, ..."""
    real = torch.tensor([mask or [True] * len(scores)])
    distances_km = torch.arange(float(len(scores)))[None]
    return chosen_km(*cleaned_lists(torch.tensor([scores]), distances_km, real)).item()


def test_a_missing_answer_is_infinitely_far() -> None:
    predicted = torch.tensor([[NAN, NAN], [NAN, 40.0], [30.0, NAN], [30.0, 40.0]])
    assert errors_km(predicted, PLACES[1].expand(4, 2)).tolist() == [math.inf, math.inf, math.inf, 0.0]


def test_a_photo_without_truth_is_an_error_that_names_it() -> None:
    truth = PLACES.clone()
    truth[1, 0] = NAN
    with pytest.raises(ValueError, match="photo 1 has no truth"):
        errors_km(PLACES, truth)


@pytest.mark.parametrize("place", [[91.0, 0.0], [0.0, -180.5], [math.inf, 0.0], [NAN, 200.0]])
def test_places_off_the_earth_are_an_error(place: list[float]) -> None:
    wrong = torch.tensor([[0.0, 0.0], place])
    with pytest.raises(ValueError, match=r"(latitude|longitude) \S+ is outside"):
        errors_km(wrong, PLACES)


@pytest.mark.parametrize(
    ("predicted", "truth", "message"),
    [
        (PLACES[0], PLACES, r"predicted must have shape \(B, 2\), not \(2,\)"),
        (PLACES, PLACES[:, :1], r"truth must have shape \(B, 2\), not \(2, 1\)"),
        (PLACES[:1], PLACES, "1 predicted places, but 2 true ones"),
        (PLACES.bfloat16(), PLACES, "predicted in torch.bfloat16 is off by kilometres"),
        (PLACES, PLACES.half(), "truth in torch.float16 is off by kilometres"),
    ],
)
def test_wrong_shapes_and_types_of_places(predicted: Tensor, truth: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        errors_km(predicted, truth)


ONES = torch.ones(2, 3)


@pytest.mark.parametrize(
    ("scores", "distances_km", "mask", "message"),
    [
        (ONES[0], ONES[0], ONES[0].bool(), r"must share a shape \(B, K\)"),
        (ONES, ONES[:, :2], ONES.bool(), r"not \(2, 3\), \(2, 2\), \(2, 3\)"),
        (ONES[:, :0], ONES[:, :0], ONES[:, :0].bool(), "with K > 0"),
        (ONES, ONES, ONES, "mask must be bool"),
        (ONES, ONES.bfloat16(), ONES.bool(), "distances_km in torch.bfloat16"),
        (ONES, ONES * NAN, ONES.bool(), "photo 0 of the batch: candidate 0 is nan km from the truth"),
        (ONES, ONES * math.inf, ONES.bool(), "candidate 0 is inf km"),
        (ONES, -ONES, ONES.bool(), "candidate 0 is -1 km"),
    ],
)
def test_wrong_lists(scores: Tensor, distances_km: Tensor, mask: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cleaned_lists(scores, distances_km, mask)


def test_the_best_scored_is_chosen_and_ties_go_to_the_first() -> None:
    assert choice([1.0, 3.0, 2.0]) == 1
    assert choice([1.0, 3.0, 3.0, 3.0]) == 1
    for columns in (1, 7, 64, 1000):  # vectorised reductions have other code for each width
        scores = [0.0] * columns + [5.0] * columns
        assert choice(scores) == columns


def test_nan_scores_rank_below_every_number_and_above_padding() -> None:
    assert choice([NAN, -5.0]) == 1
    assert choice([NAN, -math.inf]) == 1
    assert choice([NAN, torch.finfo(torch.float32).min]) == 1
    assert choice([NAN, math.inf, 3.0]) == 1
    assert choice([9.0, NAN, NAN], mask=[False, True, True]) == 1
    assert choice([NAN, 9.0, -math.inf], mask=[False, False, True]) == 2


def test_an_empty_list_has_no_choice() -> None:
    assert choice([1.0, 2.0], mask=[False, False]) == math.inf
    _, distances_km = cleaned_lists(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 2).bool())
    assert retrieved_km(distances_km).tolist() == [math.inf]


def test_the_retriever_chose_the_first_real_candidate() -> None:
    mask = torch.tensor([[True, True, True], [False, True, True]])
    _, distances_km = cleaned_lists(torch.zeros(2, 3), torch.tensor([[3.0, 2.0, 1.0]]).expand(2, 3), mask)
    assert retrieved_km(distances_km).tolist() == [3.0, 2.0]


def test_the_edge_of_a_radius_is_outside() -> None:
    km = torch.tensor([0.0, 25.0, math.inf], dtype=torch.float64)
    assert within(km, torch.tensor([25.0, 26.0])).tolist() == [[True, True], [False, True], [False, False]]


def test_nothing_is_farther_than_the_farthest() -> None:
    poles = geodesic_km(torch.tensor([90.0, 0.0]), torch.tensor([-90.0, 0.0])).item()
    assert poles == pytest.approx(FARTHEST_KM, abs=1e-9)
    random = torch.Generator().manual_seed(0)
    places = torch.rand(10_000, 2, generator=random, dtype=torch.float64) * torch.tensor([180, 360]) - torch.tensor(
        [90, 180]
    )
    antipodes = torch.stack([-places[:, 0], (places[:, 1] + 360) % 360 - 180], 1)
    assert geodesic_km(places, antipodes).max() <= FARTHEST_KM + 1e-9
