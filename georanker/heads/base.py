"""The contract of heads: what turns a vision-language model's last hidden state into a score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor, nn

from georanker.recorded import Recorded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class Head(Recorded, nn.Module, ABC):
    """Scores hidden states; its weights are float32 and are trained."""

    starts_random = True
    """Whether the head means nothing before it is trained or loaded."""

    @abstractmethod
    def attach(self, vocabulary: Tensor, tokenizer: PreTrainedTokenizerBase) -> None:
        """Make the weights that fit a model, before the first `forward`.

        Args:
            vocabulary: (V, H) the rows with which the model turns hidden states into logits of tokens.
            tokenizer: of the model.
        """

    @abstractmethod
    def forward(self, hidden: Tensor) -> Tensor:
        """Return (N,) scores, higher is nearer, from (N, H) hidden states, in the type of `hidden`."""
