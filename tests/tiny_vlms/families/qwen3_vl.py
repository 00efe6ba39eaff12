"""Qwen3-VL."""

from __future__ import annotations

from typing import Any

from tests.tiny_vlms.families.qwen2_vl import PATCHES, TOKENS, qwen_ids, rope
from tests.tiny_vlms.families.qwen2_vl import TEMPLATE as WITH_SYSTEM
from tests.tiny_vlms.family import HALF, HEADS, VISION_LAYERS, Family, Text

TEMPLATE = WITH_SYSTEM.replace(
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}",
    "",
)
IMAGES = {
    "size": {"longest_edge": 16777216, "shortest_edge": 4096},  # the real one takes no photo below 65536 pixels
    **PATCHES,
    "patch_size": 16,
    "image_mean": HALF,
    "image_std": HALF,
}
FILES: dict[str, dict[str, Any]] = {
    "preprocessor_config.json": {
        **IMAGES,
        "image_processor_type": "Qwen2VLImageProcessorFast",
        "processor_class": "Qwen3VLProcessor",
    },
    "video_preprocessor_config.json": {
        **IMAGES,
        "video_processor_type": "Qwen3VLVideoProcessor",
        "processor_class": "Qwen3VLProcessor",
    },
}


def qwen3_vision(text: Text) -> dict[str, Any]:
    return {
        "depth": VISION_LAYERS,
        "num_heads": HEADS,
        "patch_size": 16,
        "hidden_size": text.hidden,
        "intermediate_size": 3 * text.hidden,
        "out_hidden_size": text.hidden,
        "num_position_embeddings": 16**2,
    }


def config(text: Text) -> dict[str, Any]:
    half = text.head // 2
    turned = rope(half, 5 * half // 16, mrope_interleaved=True)
    return {
        "text_config": text.config(rope_parameters=turned, head_dim=text.head),
        "vision_config": qwen3_vision(text) | {"deepstack_visual_indexes": list(range(VISION_LAYERS))},
        **qwen_ids(text),
    }


FAMILY = Family(
    special=TOKENS,
    template=TEMPLATE,
    config=config,
    files=FILES,
    tokenizer_class="Qwen2Tokenizer",
)
