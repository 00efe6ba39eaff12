"""Guesses of a model on this machine: of every family, with dice of their own, and by no settings but the user's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image

from georanker.generators.base import Piece
from georanker.generators.question import Question
from georanker.generators.vlm_generator import VLMGenerator
from georanker.job_folder import place_of_process
from georanker.types import GeorankerError, Photo
from tests.tiny_vlms import FAMILIES
from tests.vlm_world import Album

Tiny = Callable[[str], Path]


def pieces(generator: VLMGenerator, name: str = "query") -> list[Piece]:
    photo = Album().photo(name)
    image = generator.reduced(photo.load())
    return [image if isinstance(part, Photo) else part for part in generator.question.asked(photo)]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_guesses(family: str, tiny: Tiny) -> None:
    question = Question(["{photo}", "Where?"])  # short, or a tiny model would hardly notice the photo
    generator = VLMGenerator(str(tiny(family)), question, samples=8, max_tokens=20, dtype="float32")
    before = torch.random.get_rng_state()
    first, again, other = (generator.answers(pieces(generator), seed) for seed in (1, 1, 2))
    assert len(first) == 8
    assert len(set(first)) > 1, "samples of one photo differ"
    assert first == again != other
    assert first != generator.answers(pieces(generator, "another"), 1), "the photo is looked at"
    assert torch.equal(torch.random.get_rng_state(), before), "the dice of a run are left alone"


def test_the_settings_of_the_folder_are_left_alone(tiny: Tiny, tmp_path: Path) -> None:
    """Those of Qwen2-VL let through the likeliest token alone, and punish repetitions."""
    folder = shutil.copytree(tiny("qwen2_vl"), tmp_path / "model")
    theirs = {"do_sample": True, "top_k": 1, "top_p": 0.001, "temperature": 0.01, "repetition_penalty": 5.0}
    (folder / "generation_config.json").write_text(json.dumps(theirs))
    answers: list[Sequence[str]] = []
    for model in (folder, tiny("qwen2_vl")):
        generator = VLMGenerator(str(model), samples=4, max_tokens=8, dtype="float32")
        answers.append(generator.answers(pieces(generator), 0))
    assert answers[0] == answers[1]


def test_temperature_and_length_are_the_users(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    cold = VLMGenerator(str(tiny("qwen2_vl")), samples=4, temperature=1e-4, max_tokens=5, dtype="float32")
    shapes: list[torch.Size] = []

    def decoded(ids: torch.Tensor, **_: object) -> list[str]:
        shapes.append(ids.shape)
        return [str(row.tolist()) for row in ids]

    monkeypatch.setattr(cold.processor, "batch_decode", decoded)
    assert len(set(cold.answers(pieces(cold), 0))) == 1
    assert shapes == [(4, 5)]


def test_each_process_takes_a_gpu_of_its_own_before_its_model_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []
    for name, text in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setattr("torch.cuda.set_device", done.append)

    def load_model(*_: object) -> None:
        done.append("model")
        raise GeorankerError("enough")

    monkeypatch.setattr("georanker.generators.vlm_generator.load_model", load_model)
    with pytest.raises(GeorankerError, match="enough"):
        VLMGenerator("model")
    assert done == [1, "model"]


@pytest.mark.parametrize(("rank", "processes"), [("2", "2"), ("x", "2"), ("-1", "2"), ("0", "0")])
def test_places_among_processes_that_cannot_be(rank: str, processes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", processes)
    with pytest.raises(GeorankerError, match=f"RANK={rank}, WORLD_SIZE={processes}, .*: RANK counts from 0"):
        place_of_process()


def test_photos_are_reduced() -> None:
    generator = VLMGenerator.__new__(VLMGenerator, "none", longest_side=64)
    generator.longest_side = 64
    assert generator.reduced(Image.new("RGB", (128, 32))).size == (64, 16)
    small = Image.new("RGB", (60, 64))
    assert generator.reduced(small) is small


@pytest.mark.parametrize(
    ("setting", "said"),
    [({"samples": 0}, "samples"), ({"temperature": 0.0}, "temperature"), ({"max_tokens": 0}, "max_tokens")],
)
def test_numbers_out_of_range(setting: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        VLMGenerator("nowhere", **setting)  # type: ignore[arg-type]


def test_no_model_is_one_line() -> None:
    with pytest.raises(GeorankerError, match=r"model \./nowhere: there is no such folder"):
        VLMGenerator("./nowhere")
