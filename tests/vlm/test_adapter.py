"""Adapters: where they go, what of them learns, and which settings cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from georanker.backbones.vlm import VLMBackbone
from georanker.types import GeorankerError
from tests.tiny_vlms import FAMILIES
from tests.vlm_world import Album, Plain, adapter_weights, awaken, some_lists, turns

Tiny = Callable[[str], Path]
LANGUAGE = ("model.language_model.", "model.text_model.")
OTHER_NAMES = ("qwen2_vl", "qwen3_vl", "qwen3_5")
"""Families whose towers have names of their own."""

# peft 0.21 asks for what transformers 6 will rename.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


def linears(model: nn.Module) -> tuple[list[str], list[str]]:
    """The linear maps of the language model, and those of the vision tower and its projector, by their names."""
    names = [name for name, part in model.named_modules() if isinstance(part, nn.Linear) and name != "lm_head"]
    language = [name for name in names if name.startswith(LANGUAGE)]
    return language, [name for name in names if name not in language]


def last(names: list[str]) -> set[str]:
    return {name.rpartition(".")[2] for name in names}


def adapted(model: nn.Module) -> list[str]:
    return [name.removesuffix(".lora_A") for name, part in model.named_modules() if name.endswith(".lora_A")]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_list_of_names_reaches_the_language_model_only(family: str, tiny: Tiny) -> None:
    language, tower = linears(Plain(tiny(family)).model)
    assert tower
    assert bool(last(language) & last(tower)) == (family not in OTHER_NAMES)
    lora = LoraConfig(target_modules=sorted(last(language)))
    assert adapted(VLMBackbone(str(tiny(family)), lora=lora).model) == language


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj"], ["v_proj", "k_proj"], ["self_attn.o_proj"]])
def test_each_name_reaches_all_parts_of_that_name(targets: str | list[str], tiny: Tiny) -> None:
    language, _ = linears(Plain(tiny("qwen2_5_vl")).model)
    model = VLMBackbone(str(tiny("qwen2_5_vl")), lora=LoraConfig(target_modules=targets)).model
    ends = ("",) if targets == "all-linear" else tuple(f".{name}" for name in targets)
    assert adapted(model) == [name for name in language if name.endswith(ends)] != []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pattern_reaches_where_it_says(family: str, tiny: Tiny) -> None:
    _, tower = linears(Plain(tiny(family)).model)
    model = VLMBackbone(str(tiny(family)), lora=LoraConfig(target_modules=re.escape(tower[0]))).model
    assert adapted(model) == tower[:1]


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl", "llava_next", "gemma3", "smolvlm"])
def test_an_adapter_on_the_vision_tower_learns_as_pefts(family: str, tiny: Tiny) -> None:
    """The pattern reaches a part of each: the tower's gradients pass through the language model."""
    plain, lists = Plain(tiny(family)), some_lists(Album())[:2]
    language, tower = linears(plain.model)
    names = [tower[0], next(name for name in language if name.endswith(".q_proj"))]
    config = LoraConfig(r=2, lora_dropout=0.0, target_modules="|".join(map(re.escape, names)))
    backbone = awaken(VLMBackbone(str(tiny(family)), lora=config)).train()
    theirs = dict(get_peft_model(plain.model, config).base_model.model.named_parameters())
    with torch.no_grad():
        for name, weight in adapter_weights(backbone).items():
            theirs[name].copy_(weight)
    batch = backbone.collator(lists)
    backbone(batch)[batch.mask].sum().backward()
    head = backbone.head.get_parameter("weight").detach()[0]
    (plain.hidden_alone(turns(lists)) @ head).sum().backward()  # type: ignore[no-untyped-call]
    assert sorted(adapted(backbone.model)) == sorted(names)
    for name, weight in adapter_weights(backbone).items():
        gradient, expected = weight.grad, theirs[name].grad
        assert gradient is not None, name
        assert expected is not None, name
        assert expected.norm() > 1e-4, name
        assert (gradient - expected).norm() < 1e-4 * expected.norm(), name


def test_an_adapter_may_be_for_some_layers(tiny: Tiny) -> None:
    for layers in (1, [1]):
        lora = LoraConfig(target_modules=["q_proj", "mlp.up_proj"], layers_to_transform=layers)
        names = adapted(VLMBackbone(str(tiny("qwen2_vl")), lora=lora).model)
        start = "model.language_model.layers.1"
        assert names == [f"{start}.self_attn.q_proj", f"{start}.mlp.up_proj"]


def test_only_adapter_and_head_learn_in_float32(tiny: Tiny) -> None:
    backbone = VLMBackbone(str(tiny("gemma3")), lora=LoraConfig(r=2, target_modules=["v_proj"]), dtype="bfloat16")
    for name, weight in backbone.named_parameters():
        learns = ".lora_" in name or name.startswith("head.")
        assert weight.requires_grad == learns, name
        assert weight.dtype == (torch.float32 if learns else torch.bfloat16), name


HAS_NOT = ", which the language model has not; it has down_proj, gate_proj"


@pytest.mark.parametrize(
    ("lora", "said"),
    [
        ({"target_modules": ["nothing"]}, f"target_modules names nothing{HAS_NOT}"),
        ({"target_modules": ["q_proj", "k_prj"]}, f"target_modules names k_prj{HAS_NOT}"),
        ({"target_modules": ["qkv"]}, f"target_modules names qkv{HAS_NOT}"),  # is in the tower only
        ({}, "target_modules is not set; it has down_proj, gate_proj"),
        ({"target_modules": []}, "target_modules is not set; it has down_proj, gate_proj"),
        ({"target_modules": r".*\.nothing"}, "Target modules .* not found in the base model"),
        ({"target_modules": "("}, r"missing \), unterminated subpattern at position 0"),
        ({"target_modules": ["q_proj"], "r": 0}, "`r` should be a positive integer value but the value passed is 0"),
        ({"target_modules": ["q_proj"], "bias": "all"}, "bias and modules_to_save would be lost"),
        ({"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}, "bias and modules_to_save would be lost"),
    ],
)
def test_what_cannot_be_adapted_is_said_in_a_line(lora: dict[str, Any], said: str, tiny: Tiny) -> None:
    with pytest.raises(GeorankerError, match=f"^lora: {said}") as told:
        VLMBackbone(str(tiny("qwen2_vl")), lora=LoraConfig(**lora))
    assert "\n" not in str(told.value)


def test_an_adapter_brings_its_own_settings(tiny: Tiny) -> None:
    with pytest.raises(ValueError, match="lora and adapter exclude each other"):
        VLMBackbone(str(tiny("qwen2_vl")), lora=LoraConfig(target_modules=["q_proj"]), adapter="somewhere")
