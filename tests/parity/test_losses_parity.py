"""The losses against independent references: plain loops in float64, enumeration, scipy and torch's own losses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import scipy.special
import torch
from torch import Tensor
from torch.nn import functional as F

from georanker.losses.distance_regression import distance_regression
from georanker.losses.lambda_rank import lambda_rank
from georanker.losses.list_net import list_net
from georanker.losses.margin_ranking import margin_ranking
from georanker.losses.multi_order_distance import MultiOrderDistance, multi_order_distance
from georanker.losses.plackett_luce import negative_log_likelihood, plackett_luce, suffix_logsumexp
from georanker.losses.rank_net import rank_net
from georanker.losses.relevance_bce import relevance_bce
from georanker.losses.second_order_plackett_luce import score_gaps, second_order_plackett_luce
from georanker.losses.soft_distance_cross_entropy import soft_distance_cross_entropy

Floats = Sequence[float]
TOPS = [1, 2, 3, 1000]


def batch(seed: int = 0, lists: int = 16, length: int = 7, ties: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Lists of mixed length, real candidates anywhere, NaN as padding."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(lists, length, generator=generator, dtype=torch.float64) * 2
    distances = torch.rand(lists, length, generator=generator, dtype=torch.float64) * 10_000
    if ties:
        distances = (distances / 2500).round() * 2500
        distances[:, 0] = 1.0  # no list is all ties
    mask = torch.rand(lists, length, generator=generator) < 0.7
    mask[:, :2] = True
    return scores.masked_fill(~mask, math.nan), distances.masked_fill(~mask, math.nan), mask


def mean_of(reference: Callable[[Floats, Floats], float], scores: Tensor, distances: Tensor, mask: Tensor) -> float:
    """Mean of a reference over the real candidates of each list."""
    rows = zip(scores, distances, mask, strict=True)
    return float(np.mean([reference(s[m].tolist(), d[m].tolist()) for s, d, m in rows]))


def drawn_in_order(values: Floats, count: int) -> float:
    """Plackett-Luce as the public code writes it: log(exp(v)) - log(cumsum(exp(v))) from the end."""
    exps = [math.exp(v) for v in values]
    sums = list(itertools.accumulate(reversed(exps)))[::-1]
    terms = [math.log(e) - math.log(s) for e, s in zip(exps, sums, strict=True)][:count]
    return -sum(terms) / len(terms)


def reference_multi_order(scores: Floats, distances: Floats, weight: float, first_top: int, second_top: int) -> float:
    order = sorted(range(len(scores)), key=lambda i: distances[i])
    s, d = [scores[i] for i in order], [distances[i] for i in order]
    pairs = [(i, j) for i in range(len(s)) for j in range(i + 1, len(s)) if i < second_top]
    pairs.sort(key=lambda pair: d[pair[0]] - d[pair[1]])
    first = drawn_in_order(s, first_top)
    second = drawn_in_order([s[i] - s[j] for i, j in pairs], len(pairs))
    return weight * first + (1 - weight) * second


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("first_top", TOPS)
@pytest.mark.parametrize("second_top", [None, *TOPS])
@pytest.mark.parametrize("weight", [0.0, 0.7, 1.0])
def test_multi_order_distance(first_top: int, second_top: int | None, weight: float, ties: bool) -> None:
    loss = MultiOrderDistance(weight, first_top, second_top)
    for seed in range(3):
        scores, distances, mask = batch(seed, ties=ties)
        expected = mean_of(
            lambda s, d: reference_multi_order(s, d, weight, first_top, second_top or first_top),
            scores,
            distances,
            mask,
        )
        assert loss(scores, distances, mask).item() == pytest.approx(expected, abs=1e-10)
        assert loss(scores.float(), distances, mask).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("length", [2, 20, 40])
def test_multi_order_distance_of_longer_lists(length: int) -> None:
    scores, distances, mask = batch(length=length)
    for top in TOPS:
        expected = mean_of(lambda s, d: reference_multi_order(s, d, 0.7, top, top), scores, distances, mask)  # noqa: B023
        assert multi_order_distance(scores, distances, mask, top=top).item() == pytest.approx(expected, abs=1e-10)


def test_paper_setting_has_six_pairs_that_all_count() -> None:
    scores, distances = torch.zeros(1, 7), torch.arange(7.0)[None]
    gaps, valid = score_gaps(scores, distances, torch.ones(1, 7, dtype=torch.bool), top=1)
    assert gaps.shape == (1, 6)
    assert valid.all()
    # equal scores: each draw is uniform among those left, 6, 5, ... 1 of them
    expected = sum(math.log(left) for left in range(1, 7)) / 6
    assert second_order_plackett_luce(scores, distances).item() == pytest.approx(expected, abs=1e-6)


def test_second_order_of_the_nearest_alone_gives_it_no_gradient() -> None:
    scores, distances, _ = batch(lists=1)
    scores, distances = scores.nan_to_num(0.5), distances.nan_to_num(12_345.0)
    nearest = distances.argmin()
    pulls = []
    for top in (1, 2):
        leaf = scores.clone().requires_grad_()
        (grad,) = torch.autograd.grad(second_order_plackett_luce(leaf, distances, top=top), leaf)
        pulls.append(grad.flatten()[nearest].abs().item())
    assert pulls[0] < 1e-15
    assert pulls[1] > 1e-2


def test_second_order_of_the_nearest_alone_orders_the_others_farthest_last() -> None:
    scores, distances, _ = batch(seed=5)
    scores, distances = scores.nan_to_num(0.5), distances.nan_to_num(12_345.0)
    order = distances.argsort(-1)[:, 1:]
    others, far = scores.gather(1, order), distances.gather(1, order)
    # the same as Plackett-Luce on negated scores that draws the farthest first
    torch.testing.assert_close(second_order_plackett_luce(scores, distances), plackett_luce(-others, 20_000 - far))


def test_only_the_order_of_distances_counts() -> None:
    scores, distances, mask = batch()
    for top in (1, None):
        torch.testing.assert_close(
            plackett_luce(scores, distances.sqrt(), mask, top=top), plackett_luce(scores, distances, mask, top=top)
        )
    torch.testing.assert_close(
        multi_order_distance(scores, distances.sqrt(), mask), multi_order_distance(scores, distances, mask)
    )


@pytest.mark.parametrize("top", [1, 2, None])
def test_plackett_luce_by_enumeration(top: int | None) -> None:
    def reference(scores: Floats, distances: Floats) -> float:
        count = len(scores) if top is None else min(top, len(scores))
        nearest = tuple(sorted(range(len(scores)), key=lambda i: distances[i])[:count])
        weights = [math.exp(s) for s in scores]

        def probability(order: Sequence[int]) -> float:
            return math.prod(weights[i] / sum(weights[j] for j in order[at:]) for at, i in enumerate(order))

        orders = list(itertools.permutations(range(len(scores))))
        assert sum(map(probability, orders)) == pytest.approx(1)
        return -math.log(sum(probability(o) for o in orders if o[:count] == nearest)) / count

    scores, distances, mask = batch(length=5)
    expected = mean_of(reference, scores, distances, mask)
    assert plackett_luce(scores, distances, mask, top=top).item() == pytest.approx(expected, abs=1e-10)


def test_top_one_is_cross_entropy_on_the_nearest() -> None:
    scores, distances, mask = batch()
    nearest = distances.nan_to_num(math.inf).argmin(-1)
    expected = F.cross_entropy(scores.masked_fill(~mask, -math.inf), nearest)
    torch.testing.assert_close(plackett_luce(scores, distances, mask, top=1), expected)
    soft = soft_distance_cross_entropy(scores, distances, mask, temperature_km=1e-3)
    torch.testing.assert_close(soft, expected)


def test_first_order_alone_is_plackett_luce() -> None:
    for top in TOPS:
        alone = multi_order_distance(*batch(), first_order_weight=1.0, top=top)
        torch.testing.assert_close(alone, plackett_luce(*batch(), top=top))


@pytest.mark.parametrize("scale_km", [1.0, 25.0])
def test_list_net_is_lowest_at_the_scores_of_distance_regression(scale_km: float) -> None:
    _, distances, mask = batch()
    scores = -torch.log1p(distances / scale_km)
    assert distance_regression(scores, distances, mask, scale_km=scale_km) == 0
    leaf = scores.requires_grad_()
    (grad,) = torch.autograd.grad(list_net(leaf, distances, mask, scale_km=scale_km), leaf)
    assert grad.abs().max() < 1e-15


@pytest.mark.parametrize("sigma", [1.0, 0.3])
def test_rank_net(sigma: float) -> None:
    def reference(scores: Floats, distances: Floats) -> float:
        pairs = [(i, j) for i, j in itertools.permutations(range(len(scores)), 2) if distances[i] < distances[j]]
        return float(-np.mean([scipy.special.log_expit(sigma * (scores[i] - scores[j])) for i, j in pairs]))

    for ties in (False, True):
        data = batch(ties=ties)
        assert rank_net(*data, sigma=sigma).item() == pytest.approx(mean_or_zero(reference, *data), abs=1e-10)


@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_margin_ranking(margin: float) -> None:
    def reference(scores: Floats, distances: Floats) -> float:
        pairs = [(i, j) for i, j in itertools.permutations(range(len(scores)), 2) if distances[i] < distances[j]]
        near, far = (torch.tensor([scores[p[side]] for p in pairs], dtype=torch.float64) for side in (0, 1))
        return F.margin_ranking_loss(near, far, torch.ones_like(near), margin=margin).item()

    for ties in (False, True):
        data = batch(ties=ties)
        assert margin_ranking(*data, margin=margin).item() == pytest.approx(mean_or_zero(reference, *data), abs=1e-10)


@pytest.mark.parametrize(("scale_km", "sigma"), [(25.0, 1.0), (500.0, 0.3)])
def test_lambda_rank_by_exchanging_candidates(scale_km: float, sigma: float) -> None:
    def dcg(ranking: Sequence[int], distances: Floats) -> float:
        return sum(1 / (1 + distances[i] / scale_km) / math.log2(rank + 1) for rank, i in enumerate(ranking, 1))

    def reference(scores: Floats, distances: Floats) -> float:
        ranking = sorted(range(len(scores)), key=lambda i: -scores[i])
        ideal = dcg(sorted(range(len(scores)), key=lambda i: distances[i]), distances)
        total = 0.0
        for i, j in itertools.permutations(range(len(scores)), 2):
            if distances[i] < distances[j]:
                exchanged = [{i: j, j: i}.get(k, k) for k in ranking]
                change = abs(dcg(exchanged, distances) - dcg(ranking, distances)) / ideal
                total += change * math.log1p(math.exp(-sigma * (scores[i] - scores[j])))
        return total

    for ties in (False, True):
        data = batch(ties=ties)
        actual = lambda_rank(*data, scale_km=scale_km, sigma=sigma).item()
        assert actual == pytest.approx(mean_or_zero(reference, *data), abs=1e-10)


@pytest.mark.parametrize("scale_km", [1.0, 25.0])
def test_list_net(scale_km: float) -> None:
    def reference(scores: Floats, distances: Floats) -> float:
        share = np.array([1 / (1 + d / scale_km) for d in distances])
        return float(-(share / share.sum()) @ scipy.special.log_softmax(scores))

    data = batch()
    assert list_net(*data, scale_km=scale_km).item() == pytest.approx(mean_of(reference, *data), abs=1e-10)


@pytest.mark.parametrize("temperature_km", [200.0, 2500.0])
def test_soft_distance_cross_entropy(temperature_km: float) -> None:
    def reference(scores: Floats, distances: Floats) -> float:
        target = scipy.special.softmax(-np.array(distances) / temperature_km)
        return float(-target @ scipy.special.log_softmax(scores))

    data = batch()
    actual = soft_distance_cross_entropy(*data, temperature_km=temperature_km).item()
    assert actual == pytest.approx(mean_of(reference, *data), abs=1e-10)


@pytest.mark.parametrize(("scale_km", "delta"), [(1.0, 1.0), (25.0, 0.3)])
def test_distance_regression(scale_km: float, delta: float) -> None:
    def reference(scores: Floats, distances: Floats) -> float:
        residuals = np.array(scores) + np.log1p(np.array(distances) / scale_km)
        return float(np.mean(scipy.special.huber(delta, residuals)))

    data = batch()
    actual = distance_regression(*data, scale_km=scale_km, delta=delta).item()
    assert actual == pytest.approx(mean_of(reference, *data), abs=1e-10)


@pytest.mark.parametrize("temperature_km", [1492.7, 100.0])
def test_relevance_bce(temperature_km: float) -> None:
    def reference(scores: Floats, distances: Floats) -> float:
        target = np.exp(-np.array(distances) / temperature_km)
        yes, no = scipy.special.log_expit(scores), scipy.special.log_expit(-np.array(scores))
        return float(-np.mean(target * yes + (1 - target) * no))

    data = batch()
    actual = relevance_bce(*data, temperature_km=temperature_km).item()
    assert actual == pytest.approx(mean_of(reference, *data), abs=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1.0, 20.0, 60.0, 1e4])
@pytest.mark.parametrize("length", [2, 7, 64, 190])
def test_suffix_logsumexp_on_both_its_ways(size: float, length: int, dtype: torch.dtype) -> None:
    values = (torch.randn(8, length, generator=torch.Generator().manual_seed(0)) * size).to(dtype)
    valid = torch.arange(length) < torch.tensor([[0], [1], [2], [length], [length], [3], [length], [length]])
    precise = values.double().masked_fill(~valid, -math.inf).flip(-1).logcumsumexp(-1).flip(-1)
    actual = suffix_logsumexp(values, valid)
    epsilon = torch.finfo(dtype).eps
    torch.testing.assert_close(
        actual[valid].double(), precise[valid], rtol=0, atol=8 * epsilon * max(1.0, values.abs().max().item())
    )

    # the gradient of the loss is known: -1/k [1 - Σ_{i≤j} exp(v_j - logsumexp_i)], each difference taken exactly
    leaf = values.clone().requires_grad_()
    (grad,) = torch.autograd.grad(negative_log_likelihood(leaf, valid, None).sum(), leaf)
    shares = (values.double()[:, None, :] - precise[:, :, None]).triu().exp().triu()
    shares = torch.where(valid[:, :, None] & valid[:, None, :], shares, 0.0).sum(1)
    expected = torch.where(valid, (shares - 1) / valid.sum(-1, keepdim=True).clamp(min=1), 0.0)
    torch.testing.assert_close(grad.double(), expected, rtol=0, atol=200 * epsilon)


def mean_or_zero(
    reference: Callable[[Floats, Floats], float], scores: Tensor, distances: Tensor, mask: Tensor
) -> float:
    """As `mean_of`, with 0 for lists whose real candidates are all at one distance."""
    return mean_of(lambda s, d: reference(s, d) if len(set(d)) > 1 else 0.0, scores, distances, mask)
