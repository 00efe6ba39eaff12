"""LLaVA."""

from __future__ import annotations

from typing import Any

from tests.tiny_vlms.family import CLIP, PATCH, Family, Text

# The template of the hub, shortened: tools, videos and defaults that no prompt of ours reaches are left out.
# LLaVA's render all images of a turn first, wherever they stand in it.
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def config(text: Text) -> dict[str, Any]:
    return {
        "text_config": text.config(model_type="llama"),
        "vision_config": text.vision(model_type="clip_vision_model", image_size=4 * PATCH, projection_dim=text.hidden),
        "image_token_index": text.ids["<image>"],
        "image_seq_length": 16,
    }


FAMILY = Family(
    special=["<image>"],
    template=TEMPLATE,
    config=config,
    files={
        "preprocessor_config.json": {
            **CLIP,
            "crop_size": {"height": 4 * PATCH, "width": 4 * PATCH},
            "do_center_crop": True,
            "size": {"shortest_edge": 4 * PATCH},
            "image_processor_type": "CLIPImageProcessor",
            "processor_class": "LlavaProcessor",
        },
        "processor_config.json": {
            "image_token": "<image>",
            "num_additional_image_tokens": 1,
            "patch_size": PATCH,
            "processor_class": "LlavaProcessor",
            "vision_feature_select_strategy": "default",
        },
    },
    named={"image_token": "<image>"},
    bos="<s>",
    adds_bos=True,
    eos="</s>",
    pad="<pad>",
)
