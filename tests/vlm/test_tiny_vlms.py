"""The tiny vision-language models read photos and text in any batch, and their processors can be saved and pickled."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoModelForImageTextToText

from tests.tiny_vlms import FAMILIES, stock_processor, tiny_vlm

QUESTION, LONGER = "Yes or No?", "Is the second photo farther from the first than 25 km? Yes or No?"


def photo(width: int, height: int, seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height))


WIDE, OTHER_WIDE, TALL = photo(100, 75, 0), photo(100, 75, 1), photo(64, 96, 2)


@dataclass
class Vlm:
    """A model with its processor."""

    folder: Path
    model: Any
    processor: Any

    def inputs(self, *prompts: tuple[list[Image.Image], str]) -> Any:
        texts = []
        for photos, question in prompts:
            parts: list[dict[str, str]] = []
            for number, _ in enumerate(photos):
                parts += [{"type": "text", "text": f"Photo {number}:"}, {"type": "image"}]
            turn = [{"role": "user", "content": [*parts, {"type": "text", "text": question}]}]
            texts.append(self.processor.apply_chat_template(turn, add_generation_prompt=True, tokenize=False))
        images = [photos for photos, _ in prompts]
        return self.processor(text=texts, images=images, padding=True, return_tensors="pt")

    @torch.no_grad()
    def last(self, *prompts: tuple[list[Image.Image], str]) -> Tensor:
        hidden: Tensor = self.model.model(**self.inputs(*prompts)).last_hidden_state
        return hidden[:, -1]


@pytest.fixture(scope="module", params=FAMILIES)
def vlm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Vlm:
    if request.param == "smolvlm":
        pytest.importorskip("num2words", reason="SmolVLM's stock processor insists on it")
    folder = tiny_vlm(request.param, tmp_path_factory.mktemp(request.param))
    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    return Vlm(folder, model, stock_processor(folder))


def test_outputs_depend_on_both_photos_and_the_text(vlm: Vlm) -> None:
    assert vlm.model.dtype == torch.float32
    assert vlm.model.config._attn_implementation == "sdpa"
    said = vlm.last(([WIDE, TALL], QUESTION))
    assert said.isfinite().all()
    for other in (([OTHER_WIDE, TALL], QUESTION), ([WIDE, OTHER_WIDE], QUESTION), ([WIDE, TALL], LONGER)):
        assert (vlm.last(other) - said).norm() / said.norm() > 1e-2


def test_a_batch_says_what_its_prompts_say_alone(vlm: Vlm) -> None:
    prompts = [([WIDE, TALL], QUESTION), ([TALL, OTHER_WIDE], LONGER), ([WIDE], QUESTION)]
    assert not vlm.inputs(*prompts)["attention_mask"][:, 0].all()  # padded on the left
    torch.testing.assert_close(
        vlm.last(*prompts), torch.cat([vlm.last(prompt) for prompt in prompts]), atol=1e-4, rtol=0
    )


def test_yes_and_no_are_single_tokens(vlm: Vlm) -> None:
    for word in ("Yes", "No"):
        assert len(vlm.processor.tokenizer(word, add_special_tokens=False)["input_ids"]) == 1


def test_the_processor_survives_saving_and_pickling(vlm: Vlm, tmp_path: Path) -> None:
    vlm.processor.save_pretrained(tmp_path)
    expected = vlm.inputs(([WIDE, TALL], QUESTION))
    for processor in (stock_processor(tmp_path), pickle.loads(pickle.dumps(vlm.processor))):
        assert type(processor).__name__ == type(vlm.processor).__name__
        found = Vlm(vlm.folder, vlm.model, processor).inputs(([WIDE, TALL], QUESTION))
        assert found.keys() == expected.keys()
        for name in expected:
            torch.testing.assert_close(found[name], expected[name], rtol=0, atol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_seed_decides_the_weights(family: str, tmp_path: Path) -> None:
    first, again, other = (
        (tiny_vlm(family, tmp_path / str(number), seed=seed) / "model.safetensors").read_bytes()
        for number, seed in enumerate((0, 0, 1))
    )
    assert first == again
    assert first != other


def test_a_folder_that_holds_nothing_is_no_processor(tmp_path: Path) -> None:
    with pytest.raises((OSError, ValueError)):
        stock_processor(tmp_path)
