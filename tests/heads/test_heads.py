"""Heads: how they begin, and what they make of a hidden state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from georanker.heads.base import Head
from georanker.heads.value_head import ValueHead
from georanker.heads.yes_no_logit import YesNoLogit
from georanker.types import GeorankerError
from tests.tiny_vlms import stock_processor


@pytest.fixture(scope="module")
def tokenizer(tiny: Callable[[str], Path]) -> Any:
    return stock_processor(tiny("qwen2_vl")).tokenizer


def attached(head: Head, tokenizer: Any, width: int = 32, dtype: torch.dtype = torch.float32) -> Head:
    dice = torch.Generator().manual_seed(1)
    head.attach(torch.randn(len(tokenizer), width, generator=dice).to(dtype), tokenizer)
    return head


@pytest.mark.parametrize("width", [7, 4095])
def test_the_value_head_begins_with_a_deviation_of_one_by_the_width_plus_one(width: int, tokenizer: Any) -> None:
    """Whatever the vocabulary; the draw itself tells 1 / (H + 1) from 1 / H, where statistics would not."""
    torch.manual_seed(5)
    head = ValueHead()
    head.attach(torch.full((2, width), 7.0), tokenizer)
    torch.manual_seed(5)
    torch.testing.assert_close(head.weight.detach(), torch.randn(1, width) / (width + 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("made", [ValueHead, YesNoLogit])
def test_heads_are_float32_and_learn(made: type[Head], dtype: torch.dtype, tokenizer: Any) -> None:
    head = attached(made(), tokenizer, dtype=dtype)
    (weight,) = head.parameters()
    assert weight.dtype == torch.float32
    head(torch.ones(2, 32)).sum().backward()
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("made", [ValueHead, YesNoLogit])
def test_a_score_is_a_product_in_the_type_of_the_states(made: type[Head], dtype: torch.dtype, tokenizer: Any) -> None:
    head = attached(made(), tokenizer)
    hidden = torch.randn(6, 32, generator=torch.Generator().manual_seed(2)).to(dtype)
    (weight,) = head.parameters()
    products = hidden @ weight.detach().to(dtype).T
    expected = products[:, 0] if made is ValueHead else products[:, 0] - products[:, 1]
    found = head(hidden)
    assert found.dtype == dtype
    torch.testing.assert_close(found.detach(), expected)


@pytest.mark.parametrize("pair", [("Yes", "No"), ("No", "Yes")])
def test_the_answers_are_rows_of_the_vocabulary(pair: tuple[str, str], tokenizer: Any) -> None:
    vocabulary = torch.randn(len(tokenizer), 8)
    head = YesNoLogit(*pair)
    head.attach(vocabulary, tokenizer)
    ids = tokenizer.convert_tokens_to_ids(list(pair))
    assert torch.equal(head.weight.detach(), vocabulary[ids])
    with torch.no_grad():
        head.weight.add_(1)
    assert not torch.equal(head.weight.detach(), vocabulary[ids]), "the model's own rows stay as they are"


@pytest.mark.parametrize("pair", [("Yes indeed", "No"), ("Yes", "No way"), ("Yes", "")])
def test_an_answer_of_several_tokens_is_refused(pair: tuple[str, str], tokenizer: Any) -> None:
    wrong = next(answer for answer in pair if answer not in ("Yes", "No"))
    count = len(tokenizer.encode(wrong, add_special_tokens=False))
    with pytest.raises(GeorankerError, match=f"^'{wrong}' is {count} tokens of this model, not one; choose another"):
        attached(YesNoLogit(*pair), tokenizer)
