"""What users get wrong with a vision-language ranker, a clear line each."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from georanker.backbones.vlm import VLMBackbone
from georanker.cli import main
from tests.conftest import ROOT, SMALL
from tests.tiny_vlms import tiny_vlm
from tests.vlm_runs import vlm_config

Tiny = Callable[[str], Path]


def mistake(capsys: pytest.CaptureFixture[str], *args: str, lines: int = 1) -> str:
    """Run a command that must fail, and return what it says beside the progress of loading."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_:
        main(args)
    assert exit_.value.code == 1
    said = spoken(capsys.readouterr().err)
    assert said[0].startswith("georanker: ")
    assert len(said) == lines, said
    return "\n".join(said).removeprefix("georanker: ")


def spoken(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and "Loading weights" not in line]


def copied(tiny: Tiny, folder: Path) -> Path:
    return Path(shutil.copytree(tiny("qwen2_vl"), folder))


def empty(tiny: Tiny, folder: Path) -> None:
    folder.mkdir()


def without_weights(tiny: Tiny, folder: Path) -> None:
    (copied(tiny, folder) / "model.safetensors").unlink()


def pickled(tiny: Tiny, folder: Path) -> None:
    """As models were once shared; to open such a file can run code."""
    weights = copied(tiny, folder) / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()


def cut_short(tiny: Tiny, folder: Path) -> None:
    weights = copied(tiny, folder) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def lacking_a_weight(tiny: Tiny, folder: Path) -> None:
    path = copied(tiny, folder) / "model.safetensors"
    weights = {name: weight for name, weight in load_file(path).items() if "layers.1.self_attn.q_proj.w" not in name}
    save_file(weights, path, metadata={"format": "pt"})


def text_only(tiny: Tiny, folder: Path) -> None:
    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    config = AutoConfig.for_model("llama", **sizes, num_attention_heads=2, num_key_value_heads=2)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)


def nothing(tiny: Tiny, folder: Path) -> None:
    """Make no folder at all."""


def without_words(tiny: Tiny, folder: Path) -> None:
    (copied(tiny, folder) / "tokenizer.json").unlink()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (
            empty,
            "cannot be loaded (Unrecognized model in {folder}. Should have a `model_type` key in its config.json.)",
        ),
        (without_weights, "cannot be loaded (Error no file named model.safetensors found in directory {folder}.)"),
        (pickled, "cannot be loaded (Error no file named model.safetensors found in directory {folder}.)"),
        (cut_short, "cannot be loaded (Error while deserializing header: incomplete metadata, file not fully covered)"),
        (
            lacking_a_weight,
            "1 weights are missing or of another shape: ['model.language_model.layers.1.self_attn.q_proj.weight']",
        ),
        (nothing, "there is no such folder"),
        (without_words, "its tokenizer lacks the token of photos"),
        (text_only, "cannot be loaded (Unrecognized configuration class <class '"),
    ],
)
def test_a_folder_that_is_no_model(
    make: Callable[[Tiny, Path], None], complaint: str, tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    make(tiny, folder)
    said = mistake(capsys, "fit", vlm_config(tmp_path, folder), *SMALL)
    assert said.startswith(f"model {folder}: {complaint.format(folder=folder)}")


def test_what_a_model_lacks_is_told_once(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The report of transformers goes to the process's own standard error."""
    lacking_a_weight(tiny, tmp_path / "model")
    with pytest.raises(SystemExit):
        main(["fit", vlm_config(tmp_path, tmp_path / "model"), *SMALL])
    (line,) = spoken(capfd.readouterr().err)
    assert "1 weights are missing" in line


WITHOUT = "a package that is not installed"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            {"prompt": {"class_path": "TemplatePrompt", "init_args": {"parts": ["{query_photo}", "at {latitud}"]}}},
            "{latitud} in 'at {latitud}' is not a field of a prompt; did you mean {latitude}?",
        ),
        (
            {"prompt": {"class_path": "TemplatePrompt", "init_args": {"parts": ["see {query_photo}"]}}},
            "{query_photo} must be a part of its own, not inside 'see {query_photo}'",
        ),
        ({"tokens_at_once": 0}, "tokens_at_once must be at least 1, not 0"),
        ({"max_pixels": -5}, "min_pixels and max_pixels must be at least 1, not -5"),
        ({"min_pixels": 0}, "min_pixels and max_pixels must be at least 1, not 0"),
        ({"min_pixels": 10000, "max_pixels": 5000}, "min_pixels, 10000, is above max_pixels, 5000; what is not set"),
        ({"max_pixels": 100}, "min_pixels, 3136, is above max_pixels, 100; what is not set is the model's own"),
        ({"reencode_jpeg": 1000}, "the quality of a JPEG is 1 to 95, not 1000"),
        ({"adapter": "somewhere"}, "lora and adapter exclude each other: a saved adapter brings its own settings"),
        (
            {"head": {"class_path": "YesNoLogit", "init_args": {"yes": "Absolutely certainly"}}},
            "'Absolutely certainly' is 16 tokens of this model, not one; choose another answer",
        ),
        pytest.param(
            {"attention": "flash_attention_2"},
            "model {model}: cannot be loaded (FlashAttention2 has been toggled on, but it cannot be used due to the "
            "following error: the package for FlashAttention2 doesn't seem to be installed.)",
            marks=pytest.mark.skipif(find_spec("flash_attn") is not None, reason=f"it is about {WITHOUT}"),
        ),
        pytest.param(
            {"load_in_4bit": True},
            "model {model}: cannot be loaded (Using `bitsandbytes` 4-bit quantization requires bitsandbytes: ",
            marks=pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason=f"it is about {WITHOUT}"),
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_setting_that_cannot_be(
    options: dict[str, Any], complaint: str, tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny("qwen2_vl")
    said = mistake(capsys, "fit", vlm_config(tmp_path, model, **options), *SMALL)
    assert said.startswith(complaint.replace("{model}", str(model)))


@pytest.mark.parametrize(
    ("option", "value", "said", "meant"),
    [
        ("max_pixel", "3136", "'max_pixel' is not an option of VLMBackbone", "did you mean 'max_pixels'?"),
        ("attention", "flash", "attention is flash", "expected: Literal['sdpa', 'eager', 'flash_attention_2']"),
        ("tokens_at_once", "many", "tokens_at_once is many", "expected: int"),
        ("prompt", "TemplatePromt", "'TemplatePromt' is not a class", "did you mean 'TemplatePrompt'?"),
    ],
)
def test_a_typo(
    option: str, value: str, said: str, meant: str, tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options: dict[str, Any] = {option: value}
    config = vlm_config(tmp_path, tiny("qwen2_vl"), **options)
    (number,) = (
        number
        for number, line in enumerate((tmp_path / "vlm.yaml").read_text().splitlines(), 1)
        if line.strip().startswith(f"{option}:")
    )
    first, second = mistake(capsys, "fit", config, lines=2).splitlines()
    assert first.startswith(f"{tmp_path / 'vlm.yaml'}, line {number}: {said}")
    assert second == f"  {meant}"


def test_an_adapter_of_another_shape(tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wide = tiny_vlm("qwen2_vl", tmp_path / "wide", hidden_size=64)
    adapter = tmp_path / "adapter"
    VLMBackbone(str(wide), lora=LoraConfig(r=4, target_modules=["q_proj"])).save_weights(adapter)
    said = mistake(capsys, "fit", vlm_config(tmp_path, tiny("qwen2_vl"), None, adapter=str(adapter)), *SMALL)
    assert said.startswith(f"adapter {adapter} does not fit the model; 5 of another shape: ")
    assert "model.language_model.layers.0.self_attn.q_proj.lora_A.weight is (4, 64) instead of (4, 32)" in said


@pytest.mark.parametrize("model", ["ranker", "retriever"])
def test_a_precision_that_would_round_places(
    model: str, small_run: Path, small_data: list[str], tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = [vlm_config(tmp_path, tiny("qwen2_vl")), *small_data]
    if model == "retriever":
        config = ROOT / "configs/experiment/blue_marble_demo_retriever.yaml"
        folders = [f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=False"]
        args = [f"--config={config}", *SMALL, f"--data.cache={small_run / 'cache'}", *folders]
    said = mistake(capsys, "fit", *args, "--trainer.precision=bf16-true")
    assert said.startswith("trainer.precision bf16-true converts every number of a batch, and places with them; take ")
