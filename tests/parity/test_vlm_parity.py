"""Scores, losses and gradients of each family against transformers and peft, one prompt at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from georanker.backbones.vlm import VLMBackbone
from georanker.heads.yes_no_logit import YesNoLogit
from georanker.losses.multi_order_distance import MultiOrderDistance
from georanker.prompts.template_prompt import TemplatePrompt
from georanker.types import Candidate, CandidateList, Photo
from tests.tiny_vlms import FAMILIES
from tests.vlm_world import (
    NOT_SHARED,
    Album,
    Plain,
    Turn,
    adapter_weights,
    awaken,
    scored,
    some_lists,
    turns,
)

pytestmark = [
    pytest.mark.filterwarnings(NOT_SHARED),
    # peft 0.21 asks for what transformers 6 will rename.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]


TARGETS = ["q_proj", "k_proj", "v_proj"]
LORA = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=TARGETS)
TOWERS = ("visual", "vision_tower", "vision_model")


@dataclass
class World:
    """A family's folder, the plain model, and the states of the paper's prompts, each computed alone."""

    folder: Path
    plain: Plain
    lists: list[CandidateList]
    states: Tensor

    def made(self, **settings: Any) -> VLMBackbone:
        return awaken(VLMBackbone(str(self.folder), **settings)).eval()

    @functools.cached_property
    def backbone(self) -> VLMBackbone:
        return self.made()

    @functools.cached_property
    def peft_gradients(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss and its gradients from peft's own model with the same weights, one prompt after the other."""
        backbone, plain = self.made(lora=LORA), Plain(self.folder)
        names = [
            name
            for name, _ in plain.model.named_modules()
            if name.rpartition(".")[2] in TARGETS and not any(tower in name for tower in TOWERS)
        ]
        config = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.0, target_modules=names)
        theirs = dict(get_peft_model(plain.model, config).base_model.model.named_parameters())
        head = nn.Linear(self.states.shape[1], 1, bias=False)
        with torch.no_grad():
            for name, weight in adapter_weights(backbone).items():
                theirs[name].copy_(weight)
        head.load_state_dict(backbone.head.state_dict())
        batch = backbone.collator(self.lists)
        alone = torch.cat([head(plain.hidden(turn)).squeeze(1) for turn in turns(self.lists)])
        scores = torch.zeros(batch.mask.shape).masked_scatter(batch.mask, alone)
        loss: Tensor = MultiOrderDistance()(scores, batch.distances_km, batch.mask)
        loss.backward()  # type: ignore[no-untyped-call]
        learning = {name: weight for name, weight in theirs.items() if weight.requires_grad}
        gradients = {name: weight.grad for name, weight in {**learning, "head.weight": head.weight}.items()}
        return loss.detach(), {name: gradient for name, gradient in gradients.items() if gradient is not None}


def reference(backbone: VLMBackbone, states: Tensor) -> Tensor:
    """The value head as the paper writes it: a product, without bias."""
    (weight,) = backbone.head.parameters()
    return (states * weight.detach()).sum(1)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.fixture(scope="module", params=FAMILIES)
def world(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> World:
    folder = tiny(request.param)
    plain, lists = Plain(folder), some_lists(Album())
    with torch.no_grad():
        states = plain.hidden_alone(turns(lists))
    assert states.std(0).mean() > 0.02, "prompts that are hardly told apart would prove little"
    return World(folder, plain, lists, states)


@pytest.mark.parametrize(("share", "tokens_at_once"), [(True, 1), (True, 300), (True, 100_000), (False, 300)])
def test_scores_are_those_of_pairs_run_alone(world: World, share: bool, tokens_at_once: int) -> None:
    backbone = world.made(share=share, tokens_at_once=tokens_at_once)
    close(scored(backbone, world.lists), reference(backbone, world.states))


def test_scores_do_not_depend_on_the_batch(world: World) -> None:
    backbone = world.backbone
    expected = torch.split(reference(backbone, world.states), [len(found) for found in world.lists])
    for order in ([0], [1], [2], [2, 0], [1, 2, 0], [0, 1, 2, 0]):
        close(scored(backbone, [world.lists[i] for i in order]), torch.cat([expected[i] for i in order]))


@pytest.mark.parametrize("padding_side", ["left", "right"])
@torch.no_grad()
def test_padding_on_either_side_is_the_same(world: World, padding_side: Literal["left", "right"]) -> None:
    world.backbone.processor.tokenizer.padding_side = padding_side
    padded = world.plain.hidden(*turns(world.lists), padding_side=padding_side)
    close(scored(world.backbone, world.lists), reference(world.backbone, padded))


@torch.no_grad()
def test_eager_attention_is_the_same(world: World) -> None:
    backbone = world.made(attention="eager", share=False)
    close(scored(backbone, world.lists), reference(backbone, world.states))


def test_scores_in_bfloat16_are_rounded_as_the_papers(world: World) -> None:
    backbone = world.made(score_dtype="bfloat16")
    (weight,) = backbone.head.parameters()
    expected = (world.states.bfloat16() @ weight.detach().bfloat16().T).squeeze(1)
    found = scored(backbone, world.lists)
    assert torch.equal(found, found.bfloat16().float())
    assert not torch.equal(found, scored(world.backbone, world.lists))
    torch.testing.assert_close(found, expected.float(), rtol=2**-7, atol=1e-6)


@torch.no_grad()
def test_without_training_the_models_own_answer_is_a_score(world: World) -> None:
    backbone = VLMBackbone(str(world.folder), head=YesNoLogit()).eval()
    yes, no = (world.plain.processor.tokenizer.encode(word, add_special_tokens=False) for word in ("Yes", "No"))
    logits = torch.cat([world.plain.model(**world.plain.inputs(turn)).logits[:, -1] for turn in turns(world.lists)])
    expected = (logits[:, yes] - logits[:, no]).squeeze(1)
    assert expected.abs().max() > 0.1
    close(scored(backbone, world.lists), expected)


def asked(found: CandidateList, candidate: Candidate) -> str:
    return f"How far is this place from latitude: {candidate.place.latitude}, longitude: {candidate.place.longitude}?"


def short_turn(found: CandidateList, candidate: Candidate) -> Turn:
    photos = [candidate.photo] if candidate.photo else []
    return [found.photo, asked(found, candidate), *photos]


def shared_first_turn(found: CandidateList, candidate: Candidate) -> Turn:
    negatives = [f"{n.place.latitude} {n.place.longitude}" for n in found.negatives]
    said = ["Not there: " + " or ".join(negatives) + "."] if negatives else []
    photos = [candidate.photo] if candidate.photo else []
    return [found.photo, *said, asked(found, candidate), *photos]


def photoless_turn(found: CandidateList, candidate: Candidate) -> Turn:
    return [asked(found, candidate)]


def candidate_only_turn(found: CandidateList, candidate: Candidate) -> Turn:
    return [asked(found, candidate), *([candidate.photo] if candidate.photo else [])]


QUERY, CANDIDATE = "{query_photo}", "{candidate_photo}"
QUESTION = "How far is this place from latitude: {latitude}, longitude: {longitude}?"
PROMPTS: dict[str, tuple[list[str], Callable[[CandidateList, Candidate], Turn]]] = {
    "short": ([QUERY, QUESTION, CANDIDATE], short_turn),
    "shared first": ([QUERY, "Not there: {negatives}.", QUESTION, CANDIDATE], shared_first_turn),
    "no photo at all": ([QUESTION], photoless_turn),
    "no photo in some": ([QUESTION, CANDIDATE], candidate_only_turn),
}


@pytest.mark.parametrize("name", PROMPTS)
@torch.no_grad()
def test_other_prompts_are_exact_too(world: World, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, turn = PROMPTS[name]
    prompt = TemplatePrompt(parts, guessed_parts=None, negative="{latitude} {longitude}", separator=" or ")
    backbone, lists = world.backbone, world.lists[:2]
    monkeypatch.setattr(backbone, "prompt", prompt)
    expected = [turn(found, candidate) for found in lists for candidate in found.candidates]
    states = world.plain.hidden_alone(expected)
    assert states.std(0).mean() > 0.02
    close(scored(backbone, lists), reference(backbone, states))


def with_a_lost_photo(lists: Sequence[CandidateList]) -> list[CandidateList]:
    first, *rest = lists
    lost = Candidate(first.candidates[0].place, photo=Photo("lost", source=first.photo.source))
    return [CandidateList(first.photo, (lost, *first.candidates), first.negatives), *rest]


def test_a_photo_that_cannot_be_read_changes_no_other_score(world: World) -> None:
    backbone = world.backbone
    with pytest.warns(UserWarning, match="photo lost: not in the album; what needs it ranks last"):
        scores = scored(backbone, with_a_lost_photo(world.lists))
    assert scores[0].isnan()
    close(scores[1:], reference(backbone, world.states))


@pytest.mark.parametrize(("share", "checkpointing"), [(True, True), (True, False), (False, True)])
def test_gradients_are_those_of_peft(world: World, share: bool, checkpointing: bool) -> None:
    backbone = world.made(lora=LORA, gradient_checkpointing=checkpointing, share=share, tokens_at_once=400).train()
    expected_loss, expected = world.peft_gradients
    batch = backbone.collator(world.lists)
    backbone(batch)  # the first time, it is seen whether sharing is exact
    runs: list[nn.Module] = []
    for name, part in backbone.model.get_decoder().named_modules():
        if name.endswith("mlp"):
            part.register_forward_pre_hook(lambda part, _: runs.append(part))
    loss = MultiOrderDistance()(backbone(batch), batch.distances_km, backbone.trainable(batch))
    in_forward = len(runs)
    loss.backward()
    assert len(runs) == (2 * in_forward if checkpointing else in_forward) > 0
    torch.testing.assert_close(loss.detach(), expected_loss, rtol=1e-4, atol=0)
    found = {name: weight.grad for name, weight in adapter_weights(backbone).items()}
    found["head.weight"] = backbone.head.get_parameter("weight").grad
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        ours = found[name]
        assert ours is not None, name
        assert gradient.norm() > 1e-3, name
        assert (ours - gradient).norm() < 1e-4 * gradient.norm(), name
    assert all(weight.grad is None for weight in backbone.parameters() if not weight.requires_grad)
