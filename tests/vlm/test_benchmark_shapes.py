"""The models that the benchmarks make have the size of the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoModelForImageTextToText

from benchmarks.vlm_world import real_config


@pytest.mark.parametrize(("shape", "billions"), [("2b", 2.21), ("7b", 8.29)])
def test_weights_of_the_real_shapes(shape: str, billions: float, tiny: Callable[[str], Path]) -> None:
    """As the hub counts the weights of Qwen2-VL-2B-Instruct and Qwen2-VL-7B-Instruct."""
    config = real_config(tiny("qwen2_vl"), shape)
    with FakeTensorMode():  # shapes without numbers
        model = AutoModelForImageTextToText.from_config(config)
    assert sum(weight.numel() for weight in model.parameters()) / 1e9 == pytest.approx(billions, abs=0.005)
