"""What sets the folders of one family apart, and the sizes that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HEADS, KEY_VALUE_HEADS, VISION_LAYERS, POSITIONS = 4, 2, 2, 4096
PATCH = 14
CLIP_MEAN, CLIP_STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
HALF = [0.5, 0.5, 0.5]
# What every image processor file of the hub spells out.
STEPS = {"do_resize": True, "do_rescale": True, "do_normalize": True, "do_convert_rgb": True, "rescale_factor": 1 / 255}
TILE = 3 * PATCH
CLIP = {"image_mean": CLIP_MEAN, "image_std": CLIP_STD, "resample": 3, **STEPS}
SIGLIP = {"image_mean": HALF, "image_std": HALF, "resample": 3, **STEPS}


@dataclass(frozen=True)
class Family:
    """What sets the folders of one family apart; `special` are its tokens, of which `named` have a role's name."""

    special: Sequence[str]
    template: str
    config: Callable[[Text], dict[str, Any]]
    files: Mapping[str, dict[str, Any]]
    tokenizer_class: str = "PreTrainedTokenizerFast"
    named: Mapping[str, str] = field(default_factory=dict)
    bos: str | None = None
    adds_bos: bool = False
    eos: str = "<|im_end|>"
    pad: str = "<|endoftext|>"


@dataclass(frozen=True)
class Text:
    """The sizes of the language model, and the ids of the tokenizer."""

    hidden: int
    layers: int
    ids: Mapping[str, int]
    pad: int
    eos: int
    bos: int | None

    @property
    def head(self) -> int:
        """The width of an attention head."""
        return self.hidden // HEADS

    def config(self, **more: Any) -> dict[str, Any]:
        """Return a `text_config` with grouped-query attention."""
        return {
            "vocab_size": len(self.ids),
            "hidden_size": self.hidden,
            "intermediate_size": 3 * self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KEY_VALUE_HEADS,
            "max_position_embeddings": POSITIONS,
            "pad_token_id": self.pad,
            "eos_token_id": self.eos,
            "bos_token_id": self.bos,
            **more,
        }

    def vision(self, **more: Any) -> dict[str, Any]:
        """Return a `vision_config` of the CLIP and SigLIP kind."""
        return {
            "hidden_size": self.hidden,
            "intermediate_size": 3 * self.hidden,
            "num_hidden_layers": VISION_LAYERS,
            "num_attention_heads": HEADS,
            "patch_size": PATCH,
            **more,
        }
