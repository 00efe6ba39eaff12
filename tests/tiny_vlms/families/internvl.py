"""InternVL."""

from __future__ import annotations

from typing import Any

from tests.tiny_vlms.family import CLIP, PATCH, Family, Text

# The template of the hub, shortened: tools, videos and defaults that no prompt of ours reaches are left out.
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def config(text: Text) -> dict[str, Any]:
    return {
        "text_config": text.config(model_type="qwen2"),
        "vision_config": text.vision(image_size=4 * PATCH),
        "image_token_id": text.ids["<IMG_CONTEXT>"],
        "image_seq_length": 4,
    }


FAMILY = Family(
    special=["<|im_start|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"],
    template=TEMPLATE,
    config=config,
    files={
        "preprocessor_config.json": {
            **CLIP,
            "crop_to_patches": False,  # the processor turns it on for itself, as with the real folders
            "max_patches": 4,
            "min_patches": 1,
            "size": {"height": 4 * PATCH, "width": 4 * PATCH},
            "image_processor_type": "GotOcr2ImageProcessorFast",
            "processor_class": "InternVLProcessor",
        },
        "video_preprocessor_config.json": {
            **CLIP,
            "size": {"height": 4 * PATCH, "width": 4 * PATCH},
            "video_processor_type": "InternVLVideoProcessor",
            "processor_class": "InternVLProcessor",
        },
        "processor_config.json": {"image_seq_length": 4, "processor_class": "InternVLProcessor"},
    },
    tokenizer_class="Qwen2Tokenizer",
    named={
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    },
)
