"""LLaVA-OneVision."""

from __future__ import annotations

from typing import Any

from tests.tiny_vlms.family import SIGLIP, TILE, Family, Text

# The template of the hub, shortened: tools, videos and defaults that no prompt of ours reaches are left out.
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}<image>{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ '\n' + part['text'] }}{% endfor %}"
    "<|im_end|>{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PINPOINTS = [[rows * TILE, columns * TILE] for rows in (1, 2) for columns in (1, 2)]


def config(text: Text) -> dict[str, Any]:
    return {
        "text_config": text.config(model_type="qwen2"),
        "vision_config": text.vision(model_type="siglip_vision_model", image_size=TILE, vision_use_head=False),
        "image_token_index": text.ids["<image>"],
        "video_token_index": text.ids["<video>"],
        "image_grid_pinpoints": PINPOINTS,
    }


FAMILY = Family(
    special=["<|im_start|>", "<image>", "<video>"],
    template=TEMPLATE,
    config=config,
    files={
        "preprocessor_config.json": {
            **SIGLIP,
            "do_pad": True,
            "image_grid_pinpoints": PINPOINTS,
            "size": {"height": TILE, "width": TILE},
            "image_processor_type": "LlavaOnevisionImageProcessor",
            "processor_class": "LlavaOnevisionProcessor",
        },
        "video_preprocessor_config.json": {
            **SIGLIP,
            "size": {"height": TILE, "width": TILE},
            "image_processor_type": "LlavaOnevisionVideoProcessor",
            "processor_class": "LlavaOnevisionProcessor",
        },
        "processor_config.json": {
            "image_token": "<image>",
            "num_image_tokens": 9,
            "processor_class": "LlavaOnevisionProcessor",
            "video_token": "<video>",
            "vision_aspect_ratio": "anyres_max_9",
            "vision_feature_select_strategy": "full",
        },
    },
    tokenizer_class="Qwen2Tokenizer",
)
