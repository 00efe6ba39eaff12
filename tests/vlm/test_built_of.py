"""What tells a model's answers from another's, wherever it lies and however fast it runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from georanker.answers import fingerprint
from georanker.backbones.vlm import VLMBackbone
from georanker.ranker import Ranker

Tiny = Callable[[str], Path]


def told(folder: Path, **settings: Any) -> str:
    torch.manual_seed(0)
    ranker = Ranker(VLMBackbone(str(folder), **settings))
    return fingerprint(ranker, ranker.state_dict(), "32-true")


def test_what_only_makes_it_faster_changes_nothing(tiny: Tiny, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny("qwen2_vl"), tmp_path / "moved")
    usual = told(folder)
    assert told(tiny("qwen2_vl")) == usual
    for settings in (
        {"tokens_at_once": 99},
        {"share": False},
        {"gradient_checkpointing": True},
        {"feature_cache": tmp_path / "kept", "feature_cache_gb": 1.0},
    ):
        assert told(folder, **settings) == usual, settings


def test_what_changes_scores_is_told(tiny: Tiny, tmp_path: Path) -> None:
    usual = told(tiny("qwen2_vl"))
    folder = shutil.copytree(tiny("qwen2_vl"), tmp_path / "changed")
    weights = load_file(folder / "model.safetensors")
    weights[next(name for name in weights if name.endswith("layers.1.mlp.up_proj.weight"))] *= 2
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    assert told(folder) != usual, "other weights of the model's own"
    for settings in ({"max_pixels": 3136}, {"dtype": "bfloat16"}, {"reencode_jpeg": 75}):
        assert told(tiny("qwen2_vl"), **settings) != usual, settings
