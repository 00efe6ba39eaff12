"""Laws that every backbone keeps. The backbones are found, not listed: a new file is tested without an edit here."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from georanker.backbones.base import Backbone
from georanker.discovery import classes
from georanker.types import CandidateList, RankingBatch

MakeLists = Callable[[int, int], list[CandidateList]]

FOUND = [
    found
    for found in classes("georanker.backbones")
    if issubclass(found, Backbone)
    and not inspect.isabstract(found)
    and not any(
        p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in inspect.signature(found).parameters.values()
    )
]
every = pytest.mark.parametrize("found", FOUND, ids=lambda found: found.__name__)
some = settings(deadline=None, derandomize=True, max_examples=12)
seeds = given(seed=st.integers(0, 1000), count=st.integers(1, 5))


def made(found: type[Backbone], seed: int = 0) -> Backbone:
    torch.manual_seed(seed)
    return found().eval()


@torch.no_grad()
def scored(backbone: Backbone, some_lists: list[CandidateList]) -> Tensor:
    batch = backbone.collator(some_lists)
    scores: Tensor = backbone(batch)
    assert scores.shape == batch.mask.shape
    return scores


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_the_room_is_found() -> None:
    assert {found.__name__ for found in FOUND} >= {"ConsensusBackbone", "EmbeddingBackbone", "SimilarityBackbone"}


@every
@some
@seeds
def test_a_finite_score_for_each_candidate(found: type[Backbone], seed: int, count: int, lists: MakeLists) -> None:
    backbone = made(found)
    some_lists = lists(count, seed)
    scores = scored(backbone, some_lists)
    assert scores.shape == (count, max(map(len, some_lists)))
    assert scores.dtype == torch.float32
    assert scores[backbone.collator(some_lists).mask].isfinite().all()


@every
@some
@given(seed=st.integers(0, 1000))
def test_the_order_of_candidates_plays_no_part(found: type[Backbone], seed: int, lists: MakeLists) -> None:
    backbone = made(found)
    (one,) = lists(1, seed)
    order = torch.randperm(len(one), generator=torch.Generator().manual_seed(seed)).tolist()
    shuffled = replace(one, candidates=tuple(one.candidates[column] for column in order))
    close(scored(backbone, [shuffled])[0], scored(backbone, [one])[0, order])


@every
@some
@seeds
def test_lists_are_scored_each_alone(found: type[Backbone], seed: int, count: int, lists: MakeLists) -> None:
    backbone = made(found)
    some_lists = lists(count, seed)
    together = scored(backbone, some_lists)
    for row, one in enumerate(some_lists):
        close(together[row, : len(one)], scored(backbone, [one])[0])


@every
def test_columns_of_padding_change_nothing(found: type[Backbone], lists: MakeLists) -> None:
    backbone = made(found)
    short = min(lists(9, 1), key=len)
    long = replace(short, candidates=short.candidates * 5)
    assert len(short) < len(long)
    close(scored(backbone, [short, long])[0, : len(short)], scored(backbone, [short])[0])


@every
def test_scores_differ_between_candidates(found: type[Backbone], lists: MakeLists) -> None:
    """A backbone that answers with a constant would keep the other laws."""
    longest = max(lists(9, 2), key=len)
    assert scored(made(found), [longest])[0].std() > 1e-4


@every
def test_the_truth_is_not_seen(found: type[Backbone], lists: MakeLists) -> None:
    backbone = made(found)
    some_lists = lists(4, 3)
    blind = [replace(one, photo=replace(one.photo, place=None)) for one in some_lists]
    assert torch.equal(scored(backbone, some_lists), scored(backbone, blind))


@every
def test_saved_and_loaded_it_is_the_same(found: type[Backbone], tmp_path: Path, lists: MakeLists) -> None:
    backbone, other = made(found, 0), made(found, 1)
    some_lists = lists(3, 4)
    scores = scored(backbone, some_lists)
    if list(backbone.parameters()):
        assert not torch.equal(scored(other, some_lists), scores)
    torch.save(backbone.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(scored(other, some_lists), scores)
    assert torch.equal(scored(copy.deepcopy(backbone), some_lists), scores)


@every
def test_every_weight_that_can_learn_does(found: type[Backbone], lists: MakeLists) -> None:
    backbone = made(found).train()
    batch = backbone.collator(lists(4, 5))
    learning = {name: weight for name, weight in backbone.named_parameters() if weight.requires_grad}
    if learning:
        backbone(batch)[batch.mask].square().sum().backward()
    for name, weight in learning.items():
        assert weight.grad is not None, f"{name} has no gradient, which stops training in several processes"
        assert weight.grad.isfinite().all(), name


@every
def test_the_collator_travels_without_weights(found: type[Backbone], lists: MakeLists) -> None:
    collator = made(found).collator
    some_lists = lists(2, 6)
    before = collator(some_lists)
    travelled = pickle.loads(pickle.dumps(collator))
    assert len(pickle.dumps(collator)) < 10_000
    after: RankingBatch = travelled(some_lists)
    assert after.photo_ids == before.photo_ids
    assert after.inputs.keys() == before.inputs.keys()
    assert all(torch.equal(after.inputs[name], tensor) for name, tensor in before.inputs.items())
    assert pickle.loads(pickle.dumps(before)).photo_ids == before.photo_ids, "batches come back from workers"
