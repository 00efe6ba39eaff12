"""Gemma 3."""

from __future__ import annotations

from typing import Any

from tests.tiny_vlms.family import PATCH, SIGLIP, Family, Text

# The template of the hub, shortened: tools, videos and defaults that no prompt of ours reaches are left out.
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else 'user') + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] | trim }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<start_of_image>{% else %}{{ part['text'] | trim }}{% endif %}"
    "{% endfor %}{% endif %}{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


def config(text: Text) -> dict[str, Any]:
    kinds = ["full_attention" if layer % 2 else "sliding_attention" for layer in range(text.layers)]
    # A window that is shorter than the prompts of the tests, as the real one is shorter than long prompts.
    sizes = {"head_dim": text.head, "query_pre_attn_scalar": text.head, "sliding_window": 24, "layer_types": kinds}
    return {
        "text_config": text.config(**sizes),
        "vision_config": text.vision(model_type="siglip_vision_model", image_size=4 * PATCH, vision_use_head=False),
        "mm_tokens_per_image": 4,
        "boi_token_index": text.ids["<start_of_image>"],
        "eoi_token_index": text.ids["<end_of_image>"],
        "image_token_index": text.ids["<image_soft_token>"],
    }


FAMILY = Family(
    special=["<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"],
    template=TEMPLATE,
    config=config,
    files={
        "preprocessor_config.json": {
            **SIGLIP,
            "do_convert_rgb": None,
            "do_pan_and_scan": None,
            "image_seq_length": 4,
            "pan_and_scan_max_num_crops": None,
            "pan_and_scan_min_crop_size": None,
            "pan_and_scan_min_ratio_to_activate": None,
            "resample": 2,
            "size": {"height": 4 * PATCH, "width": 4 * PATCH},
            "image_processor_type": "Gemma3ImageProcessor",
            "processor_class": "Gemma3Processor",
        },
        "processor_config.json": {"image_seq_length": 4, "processor_class": "Gemma3Processor"},
    },
    named={"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"},
    bos="<bos>",
    adds_bos=True,
    eos="<eos>",
    pad="<pad>",
)
