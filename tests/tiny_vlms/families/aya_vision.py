"""Aya Vision."""

from __future__ import annotations

from typing import Any

from tests.tiny_vlms.family import PATCH, SIGLIP, Family, Text

# The template of the hub, shortened: tools, videos and defaults that no prompt of ours reaches are left out.
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|START_OF_TURN_TOKEN|>"
    "{{ '<|CHATBOT_TOKEN|>' if message['role'] == 'assistant' else '<|USER_TOKEN|>' }}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}<image>{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] }}{% endfor %}"
    "<|END_OF_TURN_TOKEN|>{% endfor %}"
    "{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}"
)


def config(text: Text) -> dict[str, Any]:
    kinds = ["full_attention" if layer % 2 else "sliding_attention" for layer in range(text.layers)]
    return {
        "text_config": text.config(model_type="cohere2", sliding_window=1024, layer_types=kinds, logit_scale=0.25),
        "vision_config": text.vision(model_type="siglip_vision_model", image_size=4 * PATCH, vision_use_head=False),
        "image_token_index": text.ids["<|IMG_PATCH|>"],
    }


FAMILY = Family(
    special=[
        *("<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<image>", "<|START_OF_IMG|>"),
        *("<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>", "TILE_GLOBAL", "TILE"),
        *(f"TILE_{tile}" for tile in range(1, 5)),
    ],
    template=TEMPLATE,
    config=config,
    files={
        "preprocessor_config.json": {
            **SIGLIP,
            "crop_to_patches": True,
            "max_patches": 4,
            "min_patches": 1,
            "size": {"height": 4 * PATCH, "width": 4 * PATCH},
            "image_processor_type": "GotOcr2ImageProcessor",
            "processor_class": "AyaVisionProcessor",
        },
        "processor_config.json": {
            "downsample_factor": 2,
            "image_token": "<image>",
            "img_size": 4 * PATCH,
            "patch_size": PATCH,
            "processor_class": "AyaVisionProcessor",
        },
    },
    bos="<BOS_TOKEN>",
    adds_bos=True,
    eos="<|END_OF_TURN_TOKEN|>",
    pad="<PAD>",
)
