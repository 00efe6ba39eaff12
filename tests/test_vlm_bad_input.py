"""What users get wrong with a vision-language ranker, a clear line each; and photos that cannot be read."""

from __future__ import annotations

import json
import math
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from georanker.backbones.vlm import VLMBackbone
from georanker.candidates import CandidatesFile
from georanker.cli import main, run_trainer
from georanker.ranker import Ranker
from georanker.types import CandidateList
from tests.conftest import ROOT, SMALL
from tests.test_resume import losses
from tests.tiny_vlms import tiny_vlm
from tests.vlm_runs import Answer, finished, kilometres, predicted, small_lists, vlm_config

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


@pytest.fixture(scope="module")
def whole(small_run: Path, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    """What is answered if each photo can be read."""
    folder = tmp_path_factory.mktemp("whole")
    main(["predict", vlm_config(folder, tiny("qwen2_vl")), *small_lists(small_run), "--data.batch_size=8"])
    return {answer.photo_id: answer for answer in predicted(folder)}


@pytest.fixture(scope="module")
def found(small_run: Path) -> list[CandidateList]:
    return CandidatesFile(small_run / "candidates" / "test.parquet")[:]


def ids(found: CandidateList) -> list[str]:
    return [candidate.photo.id for candidate in found.candidates if candidate.photo]


@pytest.fixture(scope="module")
def broken(found: list[CandidateList], whole: dict[str, Answer]) -> list[str]:
    """One photo of the gallery that several lists name, and the ranker chose; and one photo that is asked about."""
    named = Counter(photo_id for each in found for photo_id in ids(each))
    chosen = {answer.candidates[0][0] for answer in whole.values()}
    gallery = max(sorted(chosen), key=lambda photo_id: named[photo_id])
    assert 1 < named[gallery] < len(found)
    query = next(each.photo.id for each in found if gallery not in ids(each))
    return [gallery, query]


def damaged(broken: Sequence[str]) -> list[str]:
    return ["--data=tests.vlm_runs.Damaged", f"--data.broken={json.dumps(broken)}"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_photo_in_a_long_run(
    workers: int,
    whole: dict[str, Answer],
    broken: list[str],
    found: list[CandidateList],
    small_data: list[str],
    tiny: Tiny,
    tmp_path: Path,
) -> None:
    config = [vlm_config(tmp_path, tiny("qwen2_vl")), *damaged(broken), *small_data, "--data.batch_size=8"]
    if workers:  # a worker tells in a process of its own
        told = finished("predict", *config, f"--data.num_workers={workers}").stderr
        assert " candidates could not be read and rank last; the warnings say why" in told
    else:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            main(["predict", *config])
        told = "\n".join(str(warning.message) for warning in caught)
    for photo_id in broken:
        assert f"photo {photo_id}: cannot be decoded (" in told
    assert "what needs it ranks last" in told

    answers = predicted(tmp_path)
    assert [answer.photo_id for answer in answers] == [each.photo.id for each in found]
    gallery, query = broken
    for answer, each in zip(answers, found, strict=True):
        before = whole[answer.photo_id]
        order = [photo_id for photo_id, _ in answer.candidates]
        if answer.photo_id == query:
            assert order == ids(each)
            assert max(answer.scores.values()) < -1e30
        elif gallery in before.scores:
            assert order == [photo_id for photo_id, _ in before.candidates if photo_id != gallery] + [gallery]
            assert answer.scores[gallery] < -1e30
            left = {photo_id: score for photo_id, score in before.scores.items() if photo_id != gallery}
            assert {**answer.scores, **left} == pytest.approx(answer.scores, abs=1e-5)
        else:
            assert order == [photo_id for photo_id, _ in before.candidates]
            assert answer.scores == pytest.approx(before.scores, abs=1e-5)


@pytest.mark.filterwarnings("ignore:.*what needs it ranks last", "ignore:the backbone scored candidates NaN")
def test_broken_photos_have_figures(
    broken: list[str], found: list[CandidateList], small_data: list[str], tiny: Tiny, tmp_path: Path
) -> None:
    config = [vlm_config(tmp_path, tiny("qwen2_vl")), *damaged(broken), *small_data, "--data.batch_size=8"]
    main(["predict", *config])
    figures = run_trainer(["test", *config]).trainer.callback_metrics
    answers = predicted(tmp_path)
    errors = [kilometres(each)[answer.candidates[0][0]] for each, answer in zip(found, answers, strict=True)]
    assert figures["test/ranked/mean_km"].item() == pytest.approx(sum(errors) / len(errors), rel=1e-5)
    assert all(math.isfinite(value.item()) for name, value in figures.items() if "gap_closed" not in name)


def gradients(ranker: Ranker, lists: Sequence[CandidateList]) -> tuple[float, dict[str, Tensor]]:
    """Return the loss of a batch as it is trained, and its gradients."""
    assert ranker.loss is not None
    batch = ranker.collator(lists)
    loss = ranker.loss(ranker.backbone(batch), batch.distances_km, ranker.backbone.trainable(batch))
    ranker.zero_grad()
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in ranker.named_parameters() if p.grad is not None}


@pytest.mark.filterwarnings("ignore:.*what needs it ranks last")
def test_a_broken_candidate_is_left_out_of_the_loss(
    small_run: Path, small_data: list[str], tiny: Tiny, tmp_path: Path
) -> None:
    lists = CandidatesFile(small_run / "candidates" / "train.parquet")[:4]
    gallery = ids(lists[0])[0]
    cli = run_trainer([vlm_config(tmp_path, tiny("qwen2_vl")), *damaged([gallery]), *small_data], run=False)
    cracked = cli.datamodule.lists("train")[:4]
    without = [
        replace(each, candidates=tuple(c for c in each.candidates if c.photo and c.photo.id != gallery))
        for each in cracked
    ]
    assert len(without[0]) == len(cracked[0]) - 1
    for weight in cli.model.backbone.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.3)
    (loss, found), (expected, wanted) = gradients(cli.model, cracked), gradients(cli.model, without)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert gradient.abs().max() > 0
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*what needs it ranks last")
@pytest.mark.parametrize("workers", [0, 1])
def test_training_goes_on_after_broken_photos(
    workers: int, small_run: Path, small_data: list[str], tiny: Tiny, tmp_path: Path
) -> None:
    """In the first batch no photo can be read that is asked about, in the second one of the gallery."""
    order = np.random.default_rng((0, 0)).permutation(48)
    lists = CandidatesFile(small_run / "candidates" / "train.parquet")
    broken = [lists[int(row)].photo.id for row in order[:8]] + [ids(lists[int(order[8])])[0]]
    config = [vlm_config(tmp_path, tiny("qwen2_vl")), *damaged(broken), *small_data, "--data.batch_size=8"]
    short = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=3", "--trainer.limit_val_batches=0"]
    cli = run_trainer(["fit", *config, *short, f"--data.num_workers={workers}"])
    found = losses(tmp_path)
    assert sorted(found) == [0, 1, 2]
    assert found[0] == 0
    assert 0 < found[1] < math.inf
    assert 0 < found[2] < math.inf
    state = cli.model.state_dict()
    assert all(weight.isfinite().all() for weight in state.values())
    assert any(weight.abs().max() > 0.01 for name, weight in state.items() if "lora_B" in name)  # they began at 0
