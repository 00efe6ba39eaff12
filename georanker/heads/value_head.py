"""The paper's head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from georanker.heads.base import Head

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class ValueHead(Head):
    """A linear map without bias, drawn from N(0, 1 / (H + 1)), the second being the standard deviation.

    Source: GeoRanker (arXiv 2505.13731), whose public code initialises it so.
    """

    weight: nn.Parameter
    """(1, H)."""

    def attach(self, vocabulary: Tensor, tokenizer: PreTrainedTokenizerBase) -> None:
        """Draw the weights."""
        width = vocabulary.shape[1]
        self.weight = nn.Parameter(vocabulary.new_empty(1, width, dtype=torch.float32).normal_(0, 1 / (width + 1)))

    def forward(self, hidden: Tensor) -> Tensor:
        """Return (N,) scores."""
        return nn.functional.linear(hidden, self.weight.to(hidden.dtype)).squeeze(1)
