"""What a photo is to a vision-language model."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class PhotoTokens:
    """What a model's processor makes of one photo."""

    tensors: dict[str, Tensor]
    """The inputs of the vision tower, such as pixel_values and image_grid_thw, for this photo alone."""
    text: str
    """What takes the place of the photo in a prompt."""
    count: int
    """How many tokens of the prompt are features of the photo."""
