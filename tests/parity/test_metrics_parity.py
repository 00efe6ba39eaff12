"""Figures against plain Python loops over geopy, statistics, numpy, scipy and torchmetrics' own retrieval."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import torch
from geopy.distance import geodesic
from scipy.stats import kendalltau
from torch import Tensor
from torchmetrics.retrieval import RetrievalMRR

from georanker.metrics.distance_accuracy import distance_accuracy
from georanker.metrics.gap_closed import gap_closed
from georanker.metrics.geo_score import geo_score
from georanker.metrics.inputs import RADII_KM
from georanker.metrics.mean_error import mean_error
from georanker.metrics.median_error import median_error
from georanker.metrics.oracle_accuracy import oracle_accuracy
from georanker.metrics.pairwise_accuracy import pairwise_accuracy
from georanker.metrics.reciprocal_rank import reciprocal_rank
from georanker.metrics.regret import regret


@pytest.fixture(params=[200, 201])
def answers(request: pytest.FixtureRequest) -> tuple[Tensor, Tensor, list[float]]:
    """Answers, truths and geopy's errors, from metres to the other side of the Earth."""
    random = torch.Generator().manual_seed(request.param)
    truth = torch.rand(request.param, 2, generator=random, dtype=torch.float64) * 100 - 50
    step = 10 ** (torch.rand(request.param, 1, generator=random, dtype=torch.float64) * 7 - 5)
    predicted = truth + step * torch.tensor([0.3, 1.0])
    return predicted, truth, [geodesic(a, b).km for a, b in zip(predicted.tolist(), truth.tolist(), strict=True)]


def test_place_metrics_equal_plain_loops(answers: tuple[Tensor, Tensor, list[float]]) -> None:
    predicted, truth, km = answers
    shares = [sum(error < radius for error in km) / len(km) for radius in RADII_KM]
    assert 0 < shares[0] < shares[-1] < 1
    assert distance_accuracy(predicted, truth).tolist() == pytest.approx(shares, rel=1e-12)
    assert median_error(predicted, truth).item() == pytest.approx(statistics.median(km), abs=1e-6)
    assert median_error(predicted, truth).item() == pytest.approx(float(np.median(km)), abs=1e-6)
    assert mean_error(predicted, truth).item() == pytest.approx(statistics.fmean(km), abs=1e-6)
    points = [5000 * math.exp(-error / 1492.7) for error in km]
    assert geo_score(predicted, truth).item() == pytest.approx(statistics.fmean(points), abs=1e-6)


def test_median_with_missing_answers_equals_statistics(answers: tuple[Tensor, Tensor, list[float]]) -> None:
    predicted, truth, km = answers
    for missing in (1, 50, 99, 100, 101, 150):
        some = predicted.clone()
        some[:missing] = torch.nan
        expected = statistics.median([math.inf] * missing + km[missing:])
        assert median_error(some, truth).item() == pytest.approx(expected, abs=1e-6)


@pytest.fixture
def lists() -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    distances_km = 10 ** (torch.rand(100, 9, generator=random, dtype=torch.float64) * 4)
    scores = torch.randn(100, 9, generator=random) - 0.5 * distances_km.log().float()
    mask = torch.rand(100, 9, generator=random) < 0.8
    mask[:, 0] = True
    return scores, distances_km, mask


def test_list_metrics_equal_plain_loops(lists: tuple[Tensor, Tensor, Tensor]) -> None:
    ranked, retrieved, oracle, ranks = [], [], [], []
    right = pairs = 0
    for scores, distances_km, mask in zip(*(part.tolist() for part in lists), strict=True):
        real = [(s, d) for s, d, m in zip(scores, distances_km, mask, strict=True) if m]
        best_first = sorted(real, key=lambda candidate: -candidate[0])
        ranked.append(best_first[0][1])
        retrieved.append(real[0][1])
        oracle.append(min(d for _, d in real))
        ranks.append(1 / (1 + [d for _, d in best_first].index(oracle[-1])))
        for i, (score, km) in enumerate(real):
            for other_score, other_km in real[:i]:
                pairs += 1
                right += (score > other_score) == (km < other_km)

    def shares(km: list[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([np.mean([x < radius for x in km]) for radius in (25, 200, 750)])

    gap = (shares(ranked) - shares(retrieved)) / (shares(oracle) - shares(retrieved))
    assert gap_closed(*lists, radii_km=(25, 200, 750)).numpy() == pytest.approx(gap, rel=1e-12)
    assert oracle_accuracy(*lists, radii_km=(25, 200, 750)).numpy() == pytest.approx(shares(oracle), rel=1e-12)
    assert regret(*lists).item() == pytest.approx(np.mean(ranked) - np.mean(oracle), rel=1e-12)
    assert reciprocal_rank(*lists).item() == pytest.approx(statistics.fmean(ranks), rel=1e-12)
    assert pairwise_accuracy(*lists).item() == pytest.approx(right / pairs, rel=1e-12)


def test_pairwise_accuracy_of_a_list_is_kendalls_tau(lists: tuple[Tensor, Tensor, Tensor]) -> None:
    scores, distances_km, _ = lists
    for row in range(20):
        one = slice(row, row + 1)
        figure = pairwise_accuracy(scores[one], distances_km[one], torch.ones(1, 9).bool()).item()
        tau = kendalltau(scores[row].numpy(), -distances_km[row].numpy()).statistic
        assert figure == pytest.approx((1 + tau) / 2, abs=1e-12)


def test_reciprocal_rank_equals_torchmetrics_on_positive_scores(lists: tuple[Tensor, Tensor, Tensor]) -> None:
    """Positive, because torchmetrics drops scores that are not."""
    scores, distances_km, _ = lists
    nearest = distances_km == distances_km.amin(1, keepdim=True)
    queries = torch.arange(100)[:, None].expand(100, 9)
    expected = RetrievalMRR()((scores - scores.min() + 1).flatten(), nearest.flatten(), queries.flatten())
    figure = reciprocal_rank(scores, distances_km, torch.ones(100, 9).bool())
    assert figure.item() == pytest.approx(expected.item(), rel=1e-6)
