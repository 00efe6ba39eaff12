from __future__ import annotations

import pytest
import torch

from georanker.losses.distance_regression import DistanceRegression
from georanker.losses.multi_order_distance import MultiOrderDistance
from georanker.losses.rank_net import RankNet
from georanker.losses.second_order_plackett_luce import SecondOrderPlackettLuce
from georanker.losses.weighted_sum import WeightedSum


def test_default_is_the_multi_order_distance() -> None:
    scores, distances = torch.randn(8, 7, dtype=torch.float64), torch.rand(8, 7) * 1e4
    mask = torch.rand(8, 7) < 0.8
    torch.testing.assert_close(WeightedSum()(scores, distances, mask), MultiOrderDistance()(scores, distances, mask))


def test_sum() -> None:
    scores, distances = torch.randn(2, 3), torch.rand(2, 3) * 1e4
    both = WeightedSum([(RankNet(), 2.0), (DistanceRegression(), 0.5)])
    expected = 2 * RankNet()(scores, distances) + 0.5 * DistanceRegression()(scores, distances)
    torch.testing.assert_close(both(scores, distances), expected)


def test_properties_follow_from_the_terms() -> None:
    assert WeightedSum([(RankNet(), 1.0)]).shift_invariant
    assert not WeightedSum([(RankNet(), 1.0), (DistanceRegression(), 1.0)]).shift_invariant
    assert not WeightedSum([(SecondOrderPlackettLuce(), 1.0)]).ranks_nearest_first
    assert "RankNet(sigma=1.0)" in repr(WeightedSum([(RankNet(), 1.0)]))


def test_wrong_terms() -> None:
    with pytest.raises(ValueError, match="terms is empty"):
        WeightedSum([])
    with pytest.raises(ValueError, match=r"the weight of terms\[1\] must be a positive number, not -1"):
        WeightedSum([(RankNet(), 1.0), (RankNet(), -1.0)])
