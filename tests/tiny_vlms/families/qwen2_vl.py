"""Qwen2-VL."""

from __future__ import annotations

from typing import Any

from tests.tiny_vlms.family import CLIP_MEAN, CLIP_STD, HEADS, PATCH, VISION_LAYERS, Family, Text

# The template of the hub, shortened: tools, videos and defaults that no prompt of ours reaches are left out.
TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PATCHES = {"patch_size": PATCH, "temporal_patch_size": 2, "merge_size": 2}
IMAGES = {
    "min_pixels": 3136,
    "max_pixels": 12845056,
    **PATCHES,
    "image_mean": CLIP_MEAN,
    "image_std": CLIP_STD,
    "image_processor_type": "Qwen2VLImageProcessor",
}
TOKENS = [
    *("<|im_start|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"),
    *("<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>"),
    *("<|image_pad|>", "<|video_pad|>"),
]


def rope(half: int, small: int, **more: Any) -> dict[str, Any]:
    """Return Qwen's rotary positions: the three sections of half a head for time, height and width."""
    sections = [half - 2 * small, small, small]
    return {"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections, **more}


def qwen_ids(text: Text) -> dict[str, Any]:
    names = {"image": "image_pad", "video": "video_pad", "vision_start": "vision_start", "vision_end": "vision_end"}
    return {f"{name}_token_id": text.ids[f"<|{token}|>"] for name, token in names.items()}


def config(text: Text) -> dict[str, Any]:
    half = text.head // 2
    width = {"embed_dim": text.hidden, "hidden_size": text.hidden, "mlp_ratio": 4}  # [16, 24, 24] of 64 in the real one
    return {
        "text_config": text.config(rope_parameters=rope(half, 3 * half // 8)),
        "vision_config": {"depth": VISION_LAYERS, "num_heads": HEADS, "patch_size": PATCH, **width},
        **qwen_ids(text),
    }


FAMILY = Family(
    special=TOKENS,
    template=TEMPLATE,
    config=config,
    files={"preprocessor_config.json": {**IMAGES, "processor_class": "Qwen2VLProcessor"}},
    tokenizer_class="Qwen2Tokenizer",
)
