"""Adapters are read from the paper's file and from peft's, and what cannot be read or does not fit is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from georanker.backbones.vlm import VLMBackbone
from georanker.heads.yes_no_logit import YesNoLogit
from georanker.types import GeorankerError
from tests.vlm_world import Album, Plain, awaken, scored, some_lists, turns

Tiny = Callable[[str], Path]
# peft 0.21 asks for what transformers 6 will rename.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

PUBLIC: dict[str, Any] = {
    "alpha_pattern": {},
    "auto_mapping": {"base_model_class": "RankerModel", "parent_library": "module_of_the_writer"},
    "base_model_name_or_path": "Qwen/Qwen2-VL-7B-Instruct",
    "bias": "none",
    "corda_config": None,
    "eva_config": None,
    "exclude_modules": None,
    "fan_in_fan_out": False,
    "inference_mode": True,
    "init_lora_weights": True,
    "layer_replication": None,
    "layers_pattern": None,
    "layers_to_transform": None,
    "loftq_config": {},
    "lora_alpha": 8,
    "lora_bias": False,
    "lora_dropout": 0.05,
    "megatron_config": None,
    "megatron_core": "megatron.core",
    "modules_to_save": ["value_head"],
    "peft_type": "LORA",
    "r": 4,
    "rank_pattern": {},
    "revision": None,
    "target_modules": ["v_proj", "k_proj", "q_proj"],
    "task_type": None,
    "trainable_token_indices": None,
    "use_dora": False,
    "use_rslora": False,
    "a_setting_of_a_later_peft": 1,
}
"""As the paper's public adapter_config.json, with a smaller rank."""
LAYOUTS = ("base_model.model.model.layers", "base_model.model.model.language_model.layers")
WIDTHS = {"q_proj": 32, "k_proj": 16, "v_proj": 16}


def public_weights(layout: str = LAYOUTS[1]) -> dict[str, Tensor]:
    """A small adapter with its head, by the names in the public file."""
    dice = torch.Generator().manual_seed(3)
    made = {"base_model.model.value_head.weight": torch.randn(1, 32, generator=dice)}
    for layer in range(2):
        for name, width in WIDTHS.items():
            start = f"{layout}.{layer}.self_attn.{name}"
            made[f"{start}.lora_A.weight"] = torch.randn(4, 32, generator=dice) * 0.3
            made[f"{start}.lora_B.weight"] = torch.randn(width, 4, generator=dice) * 0.3
    return made


def written(folder: Path, weights: dict[str, Tensor], **changed: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({**PUBLIC, **changed}))
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def expected(tiny: Tiny) -> Tensor:
    """The scores of the public adapter, added to the plain model's own weights by hand."""
    plain, weights = Plain(tiny("qwen2_vl")), public_weights()
    with torch.no_grad():
        for key in weights:
            if key.endswith(".lora_A.weight"):
                start = key.removesuffix(".lora_A.weight")
                weight = plain.model.get_parameter(start.removeprefix("base_model.model.") + ".weight")
                weight += 8 / 4 * weights[f"{start}.lora_B.weight"] @ weights[key]
        states = plain.hidden_alone(turns(some_lists(Album())))
    found = states @ weights["base_model.model.value_head.weight"][0]
    assert found.std() > 0.1
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_public_adapter_loads(
    layout: str, expected: Tensor, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "module_of_the_writer.py").write_text("raise RuntimeError('code of the writer was run')")
    monkeypatch.syspath_prepend(tmp_path)
    folder = written(tmp_path / "public", public_weights(layout))
    backbone = VLMBackbone(str(tiny("qwen2_vl")), adapter=str(folder)).eval()
    torch.testing.assert_close(scored(backbone, some_lists(Album())), expected, atol=1e-4, rtol=0)
    assert "module_of_the_writer" not in sys.modules
    learning = [name for name, weight in backbone.named_parameters() if weight.requires_grad]
    assert len(learning) == len(public_weights()), "it can be trained on"
    backbone.save_weights(tmp_path / "again")
    assert not json.loads((tmp_path / "again" / "adapter_config.json").read_text())["auto_mapping"]


@pytest.mark.parametrize("named", [".modules_to_save.default.", ".default."])
def test_names_of_peft_inside_a_model_are_read_too(named: str, expected: Tensor, tiny: Tiny, tmp_path: Path) -> None:
    """Some scripts save a state_dict of the wrapped model."""
    old, new = ("value_head.", f"value_head{named}") if "modules" in named else (".weight", ".default.weight")
    folder = written(tmp_path / "odd", {key.replace(old, new): each for key, each in public_weights().items()})
    backbone = VLMBackbone(str(tiny("qwen2_vl")), adapter=str(folder)).eval()
    torch.testing.assert_close(scored(backbone, some_lists(Album())), expected, atol=1e-4, rtol=0)


def test_weights_in_bfloat16_become_float32(tiny: Tiny, tmp_path: Path) -> None:
    folder = written(tmp_path / "short", {key: each.bfloat16() for key, each in public_weights().items()})
    backbone = VLMBackbone(str(tiny("qwen2_vl")), adapter=str(folder))
    saved = public_weights()["base_model.model.value_head.weight"].bfloat16().float()
    assert backbone.head.get_parameter("weight").equal(saved)


A = "base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight"
HEAD = "base_model.model.value_head.weight"
TOWER = "base_model.model.model.visual.blocks.0.attn.qkv.lora_A.weight"


def without(*endings: str) -> dict[str, Tensor]:
    return {key: tensor for key, tensor in public_weights().items() if not key.endswith(endings)}


def and_also(key: str, *shape: int) -> dict[str, Tensor]:
    return {**public_weights(), key: torch.ones(shape)}


MISFITS: dict[str, tuple[dict[str, Tensor], dict[str, Any], str]] = {
    "one missing": (without(A), {}, r"1 missing: model\.language_model\.layers\.0\.self_attn\.q_proj\.lora_A\.weight$"),
    "many missing": (without("lora_B.weight"), {}, r"6 missing: .*lora_B\.weight, .* and 2 more$"),
    "all missing": ({}, {}, r"13 missing: "),
    "no head": (without(HEAD), {}, r"1 missing: value_head\.weight$"),
    "one unexpected": (and_also("base_model.model.lm_head.weight", 1), {}, r"1 unexpected: lm_head\.weight$"),
    "in the tower": (and_also(TOWER, 4, 32), {}, r"1 unexpected: model\.visual\.blocks\.0\.attn\.qkv\.lora_A\.weight$"),
    "fewer targets": (public_weights(), {"target_modules": ["q_proj"]}, r"8 unexpected: .*k_proj.* and 4 more$"),
    "two layouts": (public_weights() | public_weights(LAYOUTS[0]), {}, r"12 unexpected: base_model\.model\.model\.l"),
    "another rank": (
        public_weights(),
        {"r": 8},
        r"12 of another shape: .*lora_A\.weight is \(4, 32\) instead of \(8, 32\)",
    ),
    "a wider model": (
        and_also(A, 4, 64),
        {},
        r"1 of another shape: .*lora_A\.weight is \(4, 64\) instead of \(4, 32\)$",
    ),
    "a wider head": (
        and_also(HEAD, 1, 64),
        {},
        r"1 of another shape: value_head\.weight is \(1, 64\) instead of \(1, 32\)$",
    ),
    "both": (
        without(A) | {TOWER: torch.ones(4, 32)},
        {},
        r"1 missing: .*q_proj\.lora_A\.weight; 1 unexpected: .*qkv\..*$",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_weights_that_do_not_fit_are_listed(name: str, tiny: Tiny, tmp_path: Path) -> None:
    weights, changed, said = MISFITS[name]
    folder = written(tmp_path / "wrong", weights, **changed)
    with pytest.raises(GeorankerError, match=f"^adapter {folder} does not fit the model; {said}") as told:
        VLMBackbone(str(tiny("qwen2_vl")), adapter=str(folder))
    assert "\n" not in str(told.value)


def test_an_adapter_of_the_tower_alone_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    """Its layers are numbered as those of the language model are, and its maps are named the same."""
    tower = LoraConfig(r=2, target_modules=r".*vision_tower.*q_proj")
    VLMBackbone(str(tiny("llava")), lora=tower).save_weights(tmp_path)
    settings = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**settings, "target_modules": ["q_proj"]}))
    with pytest.raises(GeorankerError, match=r"4 missing: .* unexpected: model\.vision_tower\."):
        VLMBackbone(str(tiny("llava")), adapter=str(tmp_path))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value: float, tiny: Tiny, tmp_path: Path) -> None:
    weights = public_weights()
    weights[A][1, 2] = value
    folder = written(tmp_path / "spoilt", weights)
    with pytest.raises(GeorankerError, match=r"; 1 not finite: model\.language.*layers\.0\.self_attn\.q_proj\.lora_A"):
        VLMBackbone(str(tiny("qwen2_vl")), adapter=str(folder))


def test_a_head_that_needs_no_training_may_be_absent(tiny: Tiny, tmp_path: Path) -> None:
    folder = written(tmp_path / "headless", without(HEAD))
    backbone = VLMBackbone(str(tiny("qwen2_vl")), head=YesNoLogit(), adapter=str(folder))
    usual = VLMBackbone(str(tiny("qwen2_vl")), head=YesNoLogit())
    assert torch.equal(backbone.head.get_parameter("weight"), usual.head.get_parameter("weight"))


def spoil(folder: Path, how: str) -> None:
    config, weights = folder / "adapter_config.json", folder / "adapter_model.safetensors"
    match how:
        case "no config":
            config.unlink()
        case "no weights":
            weights.unlink()
        case "broken config":
            config.write_text(config.read_text()[:-40])
        case "binary config":
            config.write_bytes(b"\xff\xfe\x00")
        case "a list":
            config.write_text("[]")
        case "cut weights":
            weights.write_bytes(weights.read_bytes()[:-40])
        case "no header":
            weights.write_bytes(b"")
        case "pickle":
            torch.save(public_weights(), weights)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no config", "its adapter_config.json cannot be read"),
        ("no weights", "its adapter_model.safetensors cannot be read"),
        ("broken config", "its adapter_config.json cannot be read"),
        ("binary config", "its adapter_config.json cannot be read"),
        ("a list", "its adapter_config.json holds no settings"),
        ("cut weights", "its adapter_model.safetensors cannot be read"),
        ("no header", "its adapter_model.safetensors cannot be read"),
        ("pickle", "its adapter_model.safetensors cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(how: str, said: str, tiny: Tiny, tmp_path: Path) -> None:
    folder = written(tmp_path / "spoiled", public_weights())
    spoil(folder, how)
    with pytest.raises(GeorankerError, match=f"^adapter {folder}: {said}") as told:
        VLMBackbone(str(tiny("qwen2_vl")), adapter=str(folder))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"peft_type": "IA3"}, "adapter .*: is of the kind IA3, and only LORA is read"),
        ({"peft_type": None}, "adapter .*: is of the kind None, and only LORA is read"),
        ({"target_modules": None}, "lora: target_modules is not set"),
        ({"target_modules": ["c_attn"]}, "lora: target_modules names c_attn, which the language model has not"),
        ({"r": -1}, "lora: `r` should be a positive integer value but the value passed is -1"),
        ({"r": "four"}, "lora: "),
        (
            {"layers_to_transform": 1, "target_modules": r".*\.q_proj"},
            "adapter .*: its adapter_config.json cannot be used",
        ),
    ],
)
def test_settings_that_cannot_be_are_told(changed: dict[str, Any], said: str, tiny: Tiny, tmp_path: Path) -> None:
    folder = written(tmp_path / "odd", public_weights(), **changed)
    with pytest.raises(GeorankerError, match=f"^{said}") as told:
        VLMBackbone(str(tiny("qwen2_vl")), adapter=str(folder))
    assert "\n" not in str(told.value)


SETTINGS: dict[str, dict[str, Any]] = {
    "the paper's": {},
    "rank-stabilised": {"use_rslora": True},
    "DoRA": {"use_dora": True},
    "a rank of its own": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 3}},
    "some layers": {"layers_to_transform": [1]},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_peft_reads_what_is_written(name: str, tiny: Tiny, tmp_path: Path) -> None:
    lora = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.05, target_modules=["q_proj", "v_proj"], **SETTINGS[name])
    backbone = awaken(VLMBackbone(str(tiny("qwen2_vl")), lora=lora)).eval()
    backbone.save_weights(tmp_path)
    lists, plain = some_lists(Album()), Plain(tiny("qwen2_vl"))
    with torch.no_grad():
        before = plain.hidden_alone(turns(lists))
        PeftModel.from_pretrained(plain.model, tmp_path)
        states = plain.hidden_alone(turns(lists))
    assert (states - before).norm() > 0.1 * before.norm()
    head = load_file(tmp_path / "adapter_model.safetensors")["base_model.model.value_head.weight"]
    torch.testing.assert_close(scored(backbone, lists), states @ head[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", SETTINGS)
def test_what_peft_writes_is_read(name: str, tiny: Tiny, tmp_path: Path) -> None:
    """With the head beside it, which peft alone does not know."""
    lora = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], **SETTINGS[name])
    backbone = awaken(VLMBackbone(str(tiny("qwen2_vl")), lora=lora)).eval()
    backbone.save_weights(tmp_path / "ours")
    PeftModel.from_pretrained(Plain(tiny("qwen2_vl")).model, tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    path = tmp_path / "theirs" / "adapter_model.safetensors"
    head = {"base_model.model.value_head.weight": backbone.head.get_parameter("weight").detach()}
    save_file({**load_file(path), **head}, path)
    again = VLMBackbone(str(tiny("qwen2_vl")), adapter=str(tmp_path / "theirs")).eval()
    assert torch.equal(scored(again, some_lists(Album())), scored(backbone, some_lists(Album())))
