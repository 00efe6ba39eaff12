"""SmolVLM."""

from __future__ import annotations

from tests.tiny_vlms.families.idefics3 import TEMPLATE, TOKENS, config, idefics_images
from tests.tiny_vlms.family import Family

FAMILY = Family(
    special=TOKENS,
    template="<|im_start|>" + TEMPLATE,
    config=config,
    files={
        "preprocessor_config.json": {
            **idefics_images("SmolVLM"),
            "video_sampling": {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 512}},
        },
        "processor_config.json": {"image_seq_len": 4, "processor_class": "SmolVLMProcessor"},
    },
    named={
        "end_of_utterance_token": "<end_of_utterance>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "image_token": "<image>",
    },
    bos="<|im_start|>",
    eos="<end_of_utterance>",
    pad="<|im_end|>",
)
