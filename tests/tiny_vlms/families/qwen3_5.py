"""Qwen3.5."""

from __future__ import annotations

from typing import Any

from tests.tiny_vlms.families.qwen2_vl import TOKENS, qwen_ids, rope
from tests.tiny_vlms.families.qwen3_vl import FILES, TEMPLATE, qwen3_vision
from tests.tiny_vlms.family import HEADS, KEY_VALUE_HEADS, Family, Text


def config(text: Text) -> dict[str, Any]:
    head = 4 * text.head  # a quarter of it is rotated
    turned = rope(head // 8, 5 * head // 8 // 16, mrope_interleaved=True, partial_rotary_factor=0.25)
    linear = {
        "linear_key_head_dim": text.head,
        "linear_value_head_dim": text.head,
        "linear_num_key_heads": KEY_VALUE_HEADS,
        "linear_num_value_heads": HEADS,
    }
    kinds = ["full_attention" if layer % 2 else "linear_attention" for layer in range(text.layers)]
    return {
        "text_config": text.config(rope_parameters=turned, head_dim=head, layer_types=kinds, **linear),
        "vision_config": qwen3_vision(text),
        **qwen_ids(text),
    }


FAMILY = Family(
    special=TOKENS,
    template=TEMPLATE,
    config=config,
    files=FILES,
    tokenizer_class="Qwen2Tokenizer",
)
