"""What the embedding backbone is told not to see, it does not see."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from georanker.backbones.candidate_layer import CandidateLayer
from georanker.backbones.embedding import EmbeddingBackbone
from georanker.types import CandidateList, GeorankerError, RankingBatch

DIM = 128
MakeLists = Callable[[int, int], list[CandidateList]]

SEES = ("photos", "location_embeddings", "places", "scores", "distances")


def made(*seen: str, dropout: float = 0.0) -> EmbeddingBackbone:
    torch.manual_seed(0)
    switches = {f"sees_{name}": name in seen for name in SEES}
    return EmbeddingBackbone(DIM, width=16, layers=2, heads=2, dropout=dropout, **switches).eval()


def changed(batch: RankingBatch, name: str) -> RankingBatch:
    """Give other values to what a switch is about; `places` and `distances` both stand on the places."""
    random = torch.Generator().manual_seed(9)

    def noise(tensor: Tensor) -> Tensor:
        return tensor + torch.randn(tensor.shape, dtype=tensor.dtype, generator=random)

    if name == "scores":
        return replace(batch, retrieval_scores=noise(batch.retrieval_scores))
    if name in ("places", "distances"):
        return replace(batch, places=(noise(batch.places) * 7).clamp(-90, 90))
    key = {"photos": "photos", "location_embeddings": "locations"}[name]
    return replace(batch, inputs={**batch.inputs, key: noise(batch.inputs[key])})


@pytest.mark.parametrize("seen", [c for size in range(6) for c in itertools.combinations(SEES, size)], ids="-".join)
def test_every_set_of_inputs(seen: tuple[str, ...], lists: MakeLists) -> None:
    backbone = made(*seen)
    batch = backbone.collator(lists(4, 0))
    scores = backbone(batch)
    assert scores.shape == batch.mask.shape
    assert scores[batch.mask].isfinite().all()
    scores[batch.mask].square().sum().backward()
    for name, weight in backbone.named_parameters():
        assert weight.grad is not None, f"{name} has no gradient, which stops training in several processes"
    for name in SEES:
        again = backbone(changed(batch, name))
        looks = {"places", "distances"} if name in ("places", "distances") else {name}
        if seen == ("distances",):
            continue  # tokens that are all alike, and attention makes nothing of how they lie
        if looks & set(seen):
            assert not torch.allclose(again[batch.mask], scores[batch.mask], atol=1e-6), f"{name} makes no difference"
        else:
            assert torch.equal(again[batch.mask], scores[batch.mask]), f"{name} is seen"


def test_of_places_distances_alone_see_only_how_they_lie(lists: MakeLists) -> None:
    """Turned around the Earth's axis, the candidates lie to each other as before."""
    for seen, same in ((("scores", "distances"), True), (("scores", "distances", "places"), False)):
        backbone = made(*seen)
        batch = backbone.collator(lists(4, 1))
        turned = torch.stack([batch.places[..., 0], (batch.places[..., 1] + 250) % 360 - 180], dim=-1)
        with torch.no_grad():
            one, other = backbone(batch)[batch.mask], backbone(replace(batch, places=turned))[batch.mask]
        assert torch.allclose(one, other, atol=1e-4) == same


def test_scores_are_seen_without_their_scale(lists: MakeLists) -> None:
    """Retrievers score in units of their own."""
    backbone = made("scores", "photos")
    batch = backbone.collator([one for one in lists(9, 2) if len(one) > 2])
    with torch.no_grad():
        one = backbone(batch)[batch.mask]
        other = backbone(replace(batch, retrieval_scores=batch.retrieval_scores * 50 + 7))[batch.mask]
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_equal_scores_are_no_division_by_zero(lists: MakeLists) -> None:
    backbone = made("scores")
    batch = backbone.collator(lists(4, 3))
    batch = replace(batch, retrieval_scores=torch.full_like(batch.retrieval_scores, 0.3))
    assert backbone(batch)[batch.mask].isfinite().all()


def test_candidates_look_at_each_other(lists: MakeLists) -> None:
    backbone = made(*SEES)
    batch = backbone.collator([max(lists(9, 4), key=len)])
    photos = batch.inputs["photos"].clone()
    photos[0, 0] += 1
    with torch.no_grad():
        difference = backbone(replace(batch, inputs={**batch.inputs, "photos": photos})) - backbone(batch)
    assert (difference[0, 1:].abs() > 1e-6).all()


def test_dropout_is_for_training_only(lists: MakeLists) -> None:
    backbone = made(*SEES, dropout=0.5)
    batch = backbone.collator(lists(3, 5))
    with torch.no_grad():
        assert torch.equal(backbone(batch), backbone(batch))
        backbone.train()
        assert not torch.equal(backbone(batch), backbone(batch))


def test_vectors_of_another_length_are_named(lists: MakeLists) -> None:
    backbone = EmbeddingBackbone(embedding_dim=64, width=16, heads=2)
    with pytest.raises(GeorankerError, match=f"vectors have {DIM} numbers: set the backbone's embedding_dim .* to 64"):
        backbone(backbone.collator(lists(2, 6)))


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="heads must divide width, but 3 does not divide 16"):
        CandidateLayer(16, 3, 0.0)


def test_autocast_keeps_the_scores_in_float32(lists: MakeLists) -> None:
    backbone = made(*SEES)
    batch = backbone.collator(lists(3, 8))
    with torch.no_grad():
        exact = backbone(batch)
        with torch.autocast("cpu", torch.bfloat16):
            scores = backbone(batch)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores[batch.mask], exact[batch.mask], atol=0.1, rtol=0)
