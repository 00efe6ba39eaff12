"""The backbone around a vision-language model: what of it is trained, saved and copied."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from transformers import PretrainedConfig

from georanker.backbones import vlm
from georanker.backbones.vlm import VLMBackbone
from georanker.heads.base import Head
from georanker.heads.value_head import ValueHead
from georanker.heads.yes_no_logit import YesNoLogit
from georanker.ranker import Ranker
from georanker.types import GeorankerError
from georanker.vlm.loading import load_model
from tests.tiny_vlms import FAMILIES
from tests.vlm_world import NOT_SHARED, Album, awaken, scored, some_lists

Tiny = Callable[[str], Path]
pytestmark = pytest.mark.filterwarnings(NOT_SHARED)


def ranker(folder: Path, seed: int, with_lora: bool = True, head: Head | None = None) -> Ranker:
    lora = LoraConfig(r=2, target_modules=["q_proj", "v_proj"]) if with_lora else None
    return Ranker(awaken(VLMBackbone(str(folder), head=head, lora=lora), seed)).eval()


def backbone_of(ranker: Ranker) -> VLMBackbone:
    assert isinstance(ranker.backbone, VLMBackbone)
    return ranker.backbone


def saved_state(ranker: Ranker) -> dict[str, torch.Tensor]:
    """Return what a checkpoint holds of a ranker."""
    checkpoint = {"state_dict": ranker.state_dict()}
    ranker.on_save_checkpoint(checkpoint)
    return checkpoint["state_dict"]


PARTS: list[tuple[str, type[Head], bool]] = [
    *((family, ValueHead, True) for family in FAMILIES),
    ("qwen2_vl", ValueHead, False),
    ("qwen2_vl", YesNoLogit, True),
    ("qwen2_vl", YesNoLogit, False),
]


@pytest.mark.parametrize(("family", "head", "with_lora"), PARTS)
def test_a_state_holds_adapter_and_head_and_comes_back(
    family: str, head: type[Head], with_lora: bool, tiny: Tiny
) -> None:
    one, other = (ranker(tiny(family), seed, with_lora, head()) for seed in (0, 1))
    state = saved_state(one)
    learning = {name for name, weight in one.named_parameters() if weight.requires_grad}
    assert state.keys() == learning
    assert all(".lora_" in name or name == "backbone.head.weight" for name in state)
    assert any(".lora_" in name for name in state) == with_lora
    lists = some_lists(Album())[:1]
    scores = scored(backbone_of(one), lists)
    assert not torch.equal(scored(backbone_of(other), lists), scores)
    other.load_state_dict({name: tensor.clone() for name, tensor in state.items()})
    assert torch.equal(scored(backbone_of(other), lists), scores)


def test_a_state_that_lacks_a_trained_weight_is_refused(tiny: Tiny) -> None:
    one = ranker(tiny("qwen2_vl"), 0)
    for name in saved_state(one):
        state = saved_state(one)
        del state[name]
        with pytest.raises(RuntimeError, match=rf'Missing key\(s\) in state_dict: "{name}"\. $'):
            one.load_state_dict(state)


def test_a_state_with_a_weight_of_its_own_is_refused(tiny: Tiny) -> None:
    one = ranker(tiny("qwen2_vl"), 0)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        one.load_state_dict({**saved_state(one), "backbone.another.weight": torch.ones(1)})


@pytest.mark.parametrize("family", ["qwen2_vl", "gemma3"])
def test_a_copy_scores_the_same_and_lives_alone(family: str, tiny: Tiny) -> None:
    one = backbone_of(ranker(tiny(family), 0))
    lists = some_lists(Album())
    scores = scored(one, lists)
    other = copy.deepcopy(one)
    assert torch.equal(scored(other, lists), scores)
    awaken(other, 1)
    assert not torch.equal(scored(other, lists), scores)
    assert torch.equal(scored(one, lists), scores)


def test_autocast_keeps_the_scores_in_float32(tiny: Tiny) -> None:
    one = backbone_of(ranker(tiny("qwen2_vl"), 0))
    lists = some_lists(Album())
    exact = scored(one, lists)
    with torch.autocast("cpu", torch.bfloat16):
        rough = scored(one, lists)
    assert not torch.equal(rough, exact)
    assert not torch.equal(rough, rough.bfloat16().float())
    assert (rough - exact).norm() < 0.05 * exact.norm()


def test_lists_without_any_readable_photo_are_scored_nan(tiny: Tiny) -> None:
    one = backbone_of(ranker(tiny("qwen2_vl"), 0))
    album = Album()
    lists = [dataclasses.replace(found, photo=album.photo("lost")) for found in some_lists(album)]
    with pytest.warns(UserWarning, match="photo lost"):
        batch = one.collator(lists)
    assert one(batch).isnan().all()
    assert not one.trainable(batch).any()
    assert batch.mask.any()


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ("model.safetensors", "cannot be loaded"),
        ("chat_template.jinja", "has no chat template; take a model that was tuned for conversations"),
        ("preprocessor_config.json", "its processor cannot be loaded"),
    ],
)
def test_a_model_that_lacks_a_part_is_named(spoilt: str, said: str, tiny: Tiny, tmp_path: Path) -> None:
    for path in tiny("qwen2_vl").iterdir():
        if path.name != spoilt:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(GeorankerError, match=f"^model {tmp_path}: {said}") as told:
        VLMBackbone(str(tmp_path))
    assert "\n" not in str(told.value)


def test_weights_that_run_code_are_not_read(tiny: Tiny, tmp_path: Path) -> None:
    for path in tiny("qwen2_vl").iterdir():
        if path.name != "model.safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    torch.save(load_file(tiny("qwen2_vl") / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(GeorankerError, match=f"^model {tmp_path}: cannot be loaded"):
        VLMBackbone(str(tmp_path))


def test_a_weight_that_the_model_lacks_is_named(tiny: Tiny, tmp_path: Path) -> None:
    for path in tiny("qwen2_vl").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights[min(name for name in weights if "q_proj" in name)]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(GeorankerError, match=f"^model {tmp_path}: 1 weights are missing .*q_proj") as told:
        VLMBackbone(str(tmp_path))
    assert "\n" not in str(told.value)


def test_a_family_without_a_token_of_photos_is_told(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    def loaded(*settings: Any) -> Any:
        model = load_model(*settings)
        model.config = PretrainedConfig()
        return model

    monkeypatch.setattr(vlm, "load_model", loaded)
    with pytest.raises(GeorankerError, match=r"^model .*: its config has no image_token_id, which stands for a photo"):
        VLMBackbone(str(tiny("llava")))


def test_a_name_of_nothing_is_one_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def lost(*_: object, **__: object) -> None:
        raise ConnectionError("no such host")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lost)
    with pytest.raises(GeorankerError, match=r"^model runs/none: neither a folder here nor a model .*\(no such host"):
        VLMBackbone("runs/none")
    with pytest.raises(GeorankerError, match=r"^model a/b/c: neither a folder here nor a model of the hub"):
        VLMBackbone("a/b/c")
    assert "Retrying" not in capfd.readouterr().err


def test_a_relative_folder_is_found_from_another_one(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny("llava").parent)
    one = ranker(Path(tiny("llava").name), 0)
    one.save_pretrained(tmp_path / "saved")
    monkeypatch.chdir(tmp_path)
    lists = some_lists(Album())[:1]
    assert torch.equal(scored(backbone_of(Ranker.from_pretrained("saved")), lists), scored(backbone_of(one), lists))
