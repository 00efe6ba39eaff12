"""Idefics3."""

from __future__ import annotations

from typing import Any

from tests.tiny_vlms.family import PATCH, SIGLIP, Family, Text

# The template of the hub, shortened: tools, videos and defaults that no prompt of ours reaches are left out.
# Idefics3 and SmolVLM write a dialogue of "User:" and "Assistant:".
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | capitalize }}"
    "{{ ':' if message['content'][0]['type'] == 'image' else ': ' }}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
TOKENS = [
    *("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"),
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
]


def idefics_images(name: str) -> dict[str, Any]:
    return {
        "do_image_splitting": True,
        "do_pad": True,
        "max_image_size": {"longest_edge": 4 * PATCH},
        "size": {"longest_edge": 8 * PATCH},  # two by two tiles and the whole image
        **SIGLIP,
        "resample": 1,
        "image_processor_type": f"{name}ImageProcessor",
        "processor_class": f"{name}Processor",
    }


def config(text: Text) -> dict[str, Any]:
    return {
        "text_config": text.config(model_type="llama"),
        "vision_config": text.vision(image_size=4 * PATCH),
        "image_token_id": text.ids["<image>"],
        "scale_factor": 2,
        "pad_token_id": text.pad,
    }


FAMILY = Family(
    special=TOKENS,
    template="<|begin_of_text|>" + TEMPLATE,
    config=config,
    files={
        "preprocessor_config.json": idefics_images("Idefics3"),
        "processor_config.json": {"image_seq_len": 4, "processor_class": "Idefics3Processor"},
    },
    bos="<|begin_of_text|>",
    adds_bos=True,
    eos="<end_of_utterance>",
    pad="<|end_of_text|>",
)
