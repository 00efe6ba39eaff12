"""Laws that every loss keeps. The losses are found, not listed: a new file is tested without an edit here."""

from __future__ import annotations

import copy
import importlib
import inspect
import math
import pickle
import re
import typing
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from georanker.discovery import classes
from georanker.losses.base import RankingLoss

CLASSES = [
    found for found in classes("georanker.losses") if issubclass(found, RankingLoss) and not inspect.isabstract(found)
]


def variants() -> Iterator[RankingLoss]:
    """Each loss with its defaults, and with each numeric argument set to other values."""
    for found in CLASSES:
        yield found()
        hints = typing.get_type_hints(found.__init__)
        for name, parameter in inspect.signature(found).parameters.items():
            if hints[name] is float:
                yield found(**{name: parameter.default / 2})
            elif int in (hints[name], *typing.get_args(hints[name])):
                for value in {1, 2, 1000} - {parameter.default}:
                    yield found(**{name: value})


every_loss = pytest.mark.parametrize("loss", list(variants()), ids=lambda loss: repr(loss).replace("\n", ""))
every_class = pytest.mark.parametrize("found", CLASSES, ids=lambda found: found.__name__)


def lists(seed: int = 0, batch: int = 4, length: int = 7, shortest: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Float64 lists without ties, real candidates at random positions, distances from 10 m to 20,000 km."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(batch, length, generator=generator, dtype=torch.float64)
    distances = 10 ** (torch.rand(batch, length, generator=generator, dtype=torch.float64) * 6.3 - 2)
    counts = torch.randint(min(shortest, length), length + 1, (batch, 1), generator=generator)
    mask = torch.rand(batch, length, generator=generator).argsort(-1).argsort(-1) < counts
    return scores, distances, mask


def gradient(loss: RankingLoss, scores: Tensor, distances: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    scores = scores.detach().clone().requires_grad_()
    value = loss(scores, distances, mask)
    value.backward()
    assert scores.grad is not None
    return value.detach(), scores.grad


many = given(seed=st.integers(0, 10_000), batch=st.integers(1, 5), length=st.integers(1, 12))
quick = settings(max_examples=15, deadline=None, derandomize=True)


def test_the_room_is_found() -> None:
    assert len(CLASSES) >= 11


@every_loss
@quick
@many
def test_scalar_finite_and_zero_gradient_on_padding(loss: RankingLoss, seed: int, batch: int, length: int) -> None:
    scores, distances, mask = lists(seed, batch, length, shortest=0)
    for dtype in (torch.float32, torch.float64):
        value, grad = gradient(loss, scores.to(dtype), distances, mask)
        assert value.shape == ()
        assert value.dtype == dtype
        assert value.isfinite()
        assert grad.isfinite().all()
        assert (grad[~mask] == 0).all()


@every_loss
@quick
@many
def test_padding_may_hold_anything(loss: RankingLoss, seed: int, batch: int, length: int) -> None:
    scores, distances, mask = lists(seed, batch, length, shortest=0)
    value, grad = gradient(loss, scores, distances, mask)
    for junk in (math.nan, math.inf, -math.inf, 1e300):
        again, grad_again = gradient(loss, scores.masked_fill(~mask, junk), distances.masked_fill(~mask, -junk), mask)
        assert again == value
        assert torch.equal(grad_again, grad)


@every_loss
@quick
@many
def test_padded_columns_change_nothing(loss: RankingLoss, seed: int, batch: int, length: int) -> None:
    scores, distances, mask = lists(seed, batch, length, shortest=0)
    junk = torch.full((batch, 3), math.nan, dtype=torch.float64)
    value, grad = gradient(loss, scores, distances, mask)
    wider, grad_wider = gradient(
        loss,
        torch.cat([junk, scores], 1),
        torch.cat([junk, distances], 1),
        torch.cat([torch.zeros(batch, 3, dtype=torch.bool), mask], 1),
    )
    torch.testing.assert_close(wider, value, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(grad_wider[:, 3:], grad, atol=1e-12, rtol=1e-12)


@every_loss
@quick
@many
def test_order_of_candidates_plays_no_part(loss: RankingLoss, seed: int, batch: int, length: int) -> None:
    scores, distances, mask = lists(seed, batch, length, shortest=0)
    shuffle = torch.rand(batch, length, generator=torch.Generator().manual_seed(seed + 1)).argsort(-1)
    shuffled = [x.gather(1, shuffle) for x in (scores, distances, mask)]
    value, grad = gradient(loss, scores, distances, mask)
    again, grad_again = gradient(loss, *shuffled)
    torch.testing.assert_close(again, value, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(grad_again, grad.gather(1, shuffle), atol=1e-12, rtol=1e-12)


@every_loss
@quick
@many
def test_mean_over_lists(loss: RankingLoss, seed: int, batch: int, length: int) -> None:
    scores, distances, mask = lists(seed, batch, length, shortest=0)
    alone = [loss(scores[b : b + 1], distances[b : b + 1], mask[b : b + 1]) for b in range(batch)]
    together = loss(scores, distances, mask)
    torch.testing.assert_close(together, torch.stack(alone).mean(), atol=1e-12, rtol=1e-12)


@every_loss
@pytest.mark.parametrize("case", ["one column", "one candidate", "none", "all at one distance"])
def test_without_comparison_zero_that_counts(loss: RankingLoss, case: str) -> None:
    scores, distances, mask = lists(batch=2, shortest=7)
    silent = mask.clone()
    if case == "one column":
        value, grad = gradient(loss, scores[:, :1], distances[:, :1], None)
        assert value == 0
        assert not grad.any()
        return
    if case == "one candidate":
        silent[0, 1:] = False
    elif case == "none":
        silent[0] = False
    else:
        distances[0] = 30.0
    value, grad = gradient(loss, scores[:1], distances[:1], silent[:1])
    assert value == 0
    assert not grad.any()
    beside = loss(scores, distances, silent)
    torch.testing.assert_close(beside, loss(scores[1:], distances[1:]) / 2, atol=1e-12, rtol=1e-12)


@every_loss
def test_ties_are_finite(loss: RankingLoss) -> None:
    scores, distances, mask = lists(batch=32, shortest=0)
    distances = torch.randint(0, 3, distances.shape, generator=torch.Generator().manual_seed(0)).double()
    for tied_scores in (scores, torch.zeros_like(scores), scores.round()):
        value, grad = gradient(loss, tied_scores.float(), distances, mask)
        assert value.isfinite()
        assert grad.isfinite().all()
        assert (grad[~mask] == 0).all()


@every_loss
@quick
@given(seed=st.integers(0, 10_000), length=st.integers(2, 24))
def test_huge_scores_stay_exact_in_float32(loss: RankingLoss, seed: int, length: int) -> None:
    scores, distances, mask = lists(seed, 4, length)
    scores = torch.where(scores > 0, 1e4, -1e4) + scores.round(decimals=1)
    scores[0] = scores[0].sign() * 1e4  # exact ties among huge scores
    scores = scores.float()
    value, grad = gradient(loss, scores, distances, mask)
    assert value.isfinite()
    assert grad.isfinite().all()
    precise, grad_precise = gradient(loss, scores.double(), distances, mask)
    torch.testing.assert_close(value.double(), precise, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(grad.double(), grad_precise, rtol=1e-2, atol=1e-3)


@every_loss
def test_float32_agrees_with_float64(loss: RankingLoss) -> None:
    scores, distances, mask = lists(batch=64, length=20)
    single = scores.float()
    torch.testing.assert_close(
        loss(single, distances, mask).double(), loss(single.double(), distances, mask), atol=1e-4, rtol=0
    )
    assert loss(single, distances.float(), mask).isfinite()


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_are_computed_in_float32(loss: RankingLoss, dtype: torch.dtype) -> None:
    scores, distances, mask = lists()
    half = scores.to(dtype)
    value, grad = gradient(loss, half, distances, mask)
    assert value.dtype == torch.float32
    assert grad.dtype == dtype
    assert value == loss(half.float(), distances, mask)
    assert loss(half, distances.to(torch.bfloat16), mask).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert loss(half, distances, mask) == value


@every_loss
def test_gradient_is_that_of_the_value(loss: RankingLoss) -> None:
    scores, distances, mask = lists(seed=3, batch=3)
    scores.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, distances, mask), (scores,))


@every_loss
def test_no_gradient_into_distances(loss: RankingLoss) -> None:
    scores, distances, mask = lists()
    assert not loss(scores, distances.requires_grad_(), mask).requires_grad


@every_loss
def test_a_gradient_step_lowers_the_loss(loss: RankingLoss) -> None:
    scores, distances, mask = lists(batch=8)
    value, grad = gradient(loss, scores, distances, mask)
    slope = grad.square().sum()
    assert slope > 0
    step = 1e-4 / float(slope.sqrt())  # short enough to leave every order of scores as it is
    drop = value - loss(scores - step * grad, distances, mask)
    torch.testing.assert_close(drop, step * slope, rtol=0.05, atol=0)


@every_loss
def test_optimised_scores_rank_the_candidates(loss: RankingLoss) -> None:
    distances = torch.tensor([900.0, 3.0, 9000.0, 250.0, 40.0, 2500.0], dtype=torch.float64).repeat(4, 1)
    scores = lists(1, 4, 6)[0]
    scores[0] = distances[0].argsort().argsort()  # the order upside down
    scores.requires_grad_()
    optimizer = torch.optim.Adam([scores], lr=0.1)
    for _ in range(400):
        optimizer.zero_grad()
        loss(scores, distances).backward()
        optimizer.step()
    assert (scores[:, 1] > scores[:, 2]).all(), "the nearest must end above the farthest"
    if loss.ranks_nearest_first:
        assert (scores.argmax(-1) == 1).all()


@every_loss
def test_shift_invariance_is_as_declared(loss: RankingLoss) -> None:
    scores, distances, mask = lists()
    shifted = scores + torch.tensor([[5.0], [-3.0], [0.5], [100.0]], dtype=torch.float64)
    same = torch.allclose(loss(shifted, distances, mask), loss(scores, distances, mask), atol=1e-10)
    assert same == loss.shift_invariant


@every_loss
def test_copies_and_holds_no_state(loss: RankingLoss) -> None:
    batch = lists()
    for twin in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert twin(*batch) == loss(*batch)
        assert repr(twin) == repr(loss)
    assert not loss.state_dict()


@every_loss
def test_mask_is_optional(loss: RankingLoss) -> None:
    scores, distances, _ = lists()
    assert loss(scores, distances) == loss(scores, distances, torch.ones_like(scores, dtype=torch.bool))


@every_loss
def test_a_score_of_nan_is_not_hidden(loss: RankingLoss) -> None:
    scores, distances, _ = lists(shortest=7)
    scores[0, int(distances[0].argmax())] = math.nan
    assert loss(scores, distances).isnan()


@every_class
def test_wrong_shapes_are_named(found: type[RankingLoss]) -> None:
    loss = found()
    scores = torch.zeros(2, 3)
    for shapes, arguments in (
        (((2, 3), (2, 4)), (scores, torch.zeros(2, 4), None)),
        (((2, 3), (3,)), (scores, torch.zeros(3), None)),
        (((2, 3), (3, 2)), (scores, scores, torch.ones(3, 2, dtype=torch.bool))),
        (((6,),), (torch.zeros(6), torch.zeros(6), None)),
        (((0, 3),), (torch.zeros(0, 3), torch.zeros(0, 3), None)),
    ):
        with pytest.raises(ValueError, match=".*".join(re.escape(str(shape)) for shape in shapes)):
            loss(*arguments)
    with pytest.raises(ValueError, match=r"mask must be bool, .* not torch\.float32"):
        loss(scores, scores, torch.ones(2, 3))


@every_class
@pytest.mark.parametrize("distance", [math.nan, math.inf, -1.0])
def test_a_real_candidate_needs_a_distance(found: type[RankingLoss], distance: float) -> None:
    distances = torch.ones(2, 3)
    distances[1, 2] = distance
    with pytest.raises(ValueError, match=rf"distances_km\[1, 2\] is {distance:g}"):
        found()(torch.zeros(2, 3), distances)
    mask = torch.ones(2, 3, dtype=torch.bool)
    mask[1, 2] = False
    assert found()(torch.zeros(2, 3), distances, mask).isfinite()


@every_class
def test_constructor_is_typed_and_checked(found: type[RankingLoss]) -> None:
    hints = typing.get_type_hints(found.__init__)
    for name, parameter in inspect.signature(found).parameters.items():
        assert parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        assert parameter.default is not parameter.empty
        assert hints[name] not in (str, typing.Any)
        assert f"{name}:" in inspect.cleandoc(found.__doc__ or "").partition("Args:")[2]
        if hints[name] is float:
            for wrong in (-1.0, math.nan, math.inf):
                with pytest.raises(ValueError, match=rf"^{name} must be"):
                    found(**{name: wrong})
        elif int in (hints[name], *typing.get_args(hints[name])):
            with pytest.raises(ValueError, match=rf"^{name} must be at least 1, not 0$"):
                found(**{name: 0})


def twin(found: type[RankingLoss]) -> Callable[..., Tensor] | None:
    """The function of the same name as the file of a loss, if it has one."""
    file = importlib.import_module(found.__module__)
    return getattr(file, found.__module__.rpartition(".")[2], None)


def test_there_are_twins() -> None:
    assert sum(twin(found) is not None for found in CLASSES) >= 11


@pytest.mark.parametrize("found", [found for found in CLASSES if twin(found)], ids=lambda found: found.__name__)
def test_class_and_function_are_twins(found: type[RankingLoss]) -> None:
    function = twin(found)
    assert function is not None
    settings_ = inspect.signature(found).parameters
    keywords = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert [p.name for p in keywords] == list(settings_)
    assert all(p.default == settings_[p.name].default for p in keywords)
    assert function(*lists()) == found()(*lists())
