"""Qwen2.5-VL."""

from __future__ import annotations

from typing import Any

from tests.tiny_vlms.families.qwen2_vl import IMAGES, TEMPLATE, TOKENS, qwen_ids, rope
from tests.tiny_vlms.family import HEADS, PATCH, VISION_LAYERS, Family, Text


def config(text: Text) -> dict[str, Any]:
    half = text.head // 2
    vision = {
        "depth": VISION_LAYERS,
        "num_heads": HEADS,
        "patch_size": PATCH,
        "hidden_size": text.hidden,
        "intermediate_size": 3 * text.hidden,
        "out_hidden_size": text.hidden,
        "window_size": 4 * PATCH,  # two by two tokens, so that small photos have several windows
        "fullatt_block_indexes": [VISION_LAYERS - 1],
    }
    return {
        "text_config": text.config(rope_parameters=rope(half, 3 * half // 8)),
        "vision_config": vision,
        **qwen_ids(text),
    }


FAMILY = Family(
    special=TOKENS,
    template=TEMPLATE,
    config=config,
    files={"preprocessor_config.json": {**IMAGES, "processor_class": "Qwen2_5_VLProcessor"}},
    tokenizer_class="Qwen2Tokenizer",
)
