"""The attention that is joined from parts: what each prompt sees alone, and the gradients of that, where there is a GPU
too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from georanker.vlm.cuda_kernel import CudaKernel
from georanker.vlm.joined_attention import Parts, attend_and_join, kernel_for
from georanker.vlm.shared_list import SharedList

DEVICES = [
    ("cpu", torch.float32, 1e-5),
    pytest.param(
        ("cuda", torch.bfloat16, 2e-2), marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    ),
]


@st.composite
def some_rows(draw: st.DrawFn) -> list[SharedList]:
    """Lists that stand in a row one after the other."""
    lists: list[SharedList] = []
    for _ in range(draw(st.integers(1, 3))):
        rests = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
        lists.append(SharedList(lists[-1].end if lists else 0, draw(st.integers(0, 7)), rests))
    return lists


def alone(sides: list[Tensor], lists: list[SharedList], scaling: float | None) -> dict[int, Tensor]:
    """What the tokens at each place see in their own prompt, in float64; what is shared is taken from the first."""
    seen: dict[int, Tensor] = {}
    for where in lists:
        for span in where.spans():
            prompt = [*range(where.start, where.middle), *range(span.start, span.stop)]
            q, k, v = (tensor[None, :, prompt] for tensor in sides)
            found = scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, enable_gqa=True)[0]
            for place, token in zip(prompt, found.transpose(0, 1), strict=True):
                seen.setdefault(place, token)
    return seen


@pytest.mark.parametrize("where", DEVICES)
@given(some_rows(), st.integers(1, 2), st.integers(1, 3), st.sampled_from([None, 0.3]), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_parts_that_are_joined_are_what_each_prompt_sees(
    where: tuple[str, torch.dtype, float],
    lists: list[SharedList],
    groups: int,
    together: int,
    scaling: float | None,
    seed: int,
) -> None:
    device, dtype, tolerance = where
    dice = torch.Generator().manual_seed(seed)
    length = lists[-1].end
    heads = (groups * together, groups, groups)
    made = [torch.randn(count, length, 8, generator=dice, dtype=torch.float64).to(dtype) for count in heads]
    made[0] *= 4  # so that the parts weigh differently
    weights = torch.randn(length, heads[0], 8, generator=dice, dtype=torch.float64).to(dtype)

    exact = [tensor.double().requires_grad_() for tensor in made]
    seen = alone(exact, lists, scaling)
    expected = torch.stack([seen[place] for place in range(length)])
    gradients = torch.autograd.grad((expected * weights).sum(), exact)

    query, key, value = sides = [tensor.to(device).requires_grad_() for tensor in made]
    kernel = kernel_for(query, key, value)
    assert kernel is not None
    found = attend_and_join(query, key, value, Parts.of(lists), scaling, kernel)
    assert found.dtype == dtype
    torch.testing.assert_close(found.cpu().double(), expected, rtol=tolerance, atol=tolerance)
    for mine, theirs in zip(torch.autograd.grad(found, sides, weights.to(device)), gradients, strict=True):
        scale = float(theirs.abs().max())
        torch.testing.assert_close(mine.cpu().double(), theirs, rtol=0, atol=2 * tolerance * max(scale, 1.0))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_numbers_are_left_to_others(dtype: torch.dtype) -> None:
    side = torch.zeros(1, 2, 8, dtype=dtype)
    assert kernel_for(side, side, side) is None
    narrow = torch.zeros(1, 2, 4)
    assert kernel_for(narrow, narrow, torch.zeros(1, 2, 8)) is None


@pytest.mark.parametrize(
    ("chip", "width", "takes"),
    [
        ((7, 5), 64, False),
        ((8, 0), 256, True),
        ((8, 9), 192, True),
        ((8, 9), 256, False),
        ((9, 0), 256, True),
        ((12, 0), 128, True),
        ((9, 0), 257, False),
        ((9, 0), 60, False),
    ],
)
def test_what_a_gpu_takes(chip: tuple[int, int], width: int, takes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads of 256 numbers, such as Gemma's, have no backward pass on the paper's L40S."""
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: chip)
    monkeypatch.setattr("torch.backends.cuda.is_flash_attention_available", lambda: True)
    monkeypatch.setattr("torch.version.hip", None)
    side: Any = SimpleNamespace(is_cuda=True, dtype=torch.bfloat16, shape=(1, 4, width), device=torch.device("cuda"))
    other: Any = SimpleNamespace(is_cuda=True, dtype=torch.float32, shape=side.shape, device=side.device)
    assert CudaKernel().takes(side, side, side) is takes
    assert not CudaKernel().takes(side, other, side)
