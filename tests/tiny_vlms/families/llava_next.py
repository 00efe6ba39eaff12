"""LLaVA-NeXT."""

from __future__ import annotations

from typing import Any

from tests.tiny_vlms.family import CLIP, PATCH, TILE, Family, Text

# The template of the hub, shortened: tools, videos and defaults that no prompt of ours reaches are left out.
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'assistant' %}[INST] {% endif %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] }}{% endfor %}"
    "{% if message['role'] != 'assistant' %} [/INST]{% endif %}{% endfor %}"
)
PINPOINTS = [[rows * TILE, columns * TILE] for rows, columns in ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))]


def config(text: Text) -> dict[str, Any]:
    return {
        "text_config": text.config(model_type="mistral", sliding_window=None),
        "vision_config": text.vision(model_type="clip_vision_model", image_size=TILE, projection_dim=text.hidden),
        "image_token_index": text.ids["<image>"],
        "image_seq_length": 9,
        "image_grid_pinpoints": PINPOINTS,
    }


FAMILY = Family(
    special=["<image>"],
    template=TEMPLATE,
    config=config,
    files={
        "preprocessor_config.json": {
            **CLIP,
            "aspect_ratio_setting": "anyres",
            "crop_size": {"height": TILE, "width": TILE},
            "do_center_crop": True,
            "do_pad": True,
            "image_grid_pinpoints": PINPOINTS,
            "size": {"shortest_edge": TILE},
            "image_processor_type": "LlavaNextImageProcessor",
            "processor_class": "LlavaNextProcessor",
        },
        "processor_config.json": {
            "image_token": "<image>",
            "num_additional_image_tokens": 1,
            "patch_size": PATCH,
            "processor_class": "LlavaNextProcessor",
            "vision_feature_select_strategy": "default",
        },
    },
    named={"image_token": "<image>"},
    bos="<s>",
    adds_bos=True,
    eos="</s>",
    pad="<pad>",
)
