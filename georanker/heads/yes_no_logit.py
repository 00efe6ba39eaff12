"""A head that needs no training: what the model would answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from georanker.heads.base import Head
from georanker.types import GeorankerError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class YesNoLogit(Head):
    """The logit of one answer less that of the other: log p(yes) - log p(no), for a prompt that asks so.

    Only two rows of the vocabulary are multiplied. They are copied, and trained if anything is.

    Source: pointwise re-ranking by the likelihood of an answer, Nogueira et al., "Document Ranking with a Pretrained
    Sequence-to-Sequence Model", Findings of EMNLP 2020.

    Args:
        yes: the answer that speaks for the candidate; must be one token.
        no: the other one; must be one token.
    """

    starts_random = False
    weight: nn.Parameter
    """(2, H)."""

    def __init__(self, yes: str = "Yes", no: str = "No") -> None:
        super().__init__()
        self.yes, self.no = yes, no

    def attach(self, vocabulary: Tensor, tokenizer: PreTrainedTokenizerBase) -> None:
        """Copy the two rows."""
        rows = []
        for answer in (self.yes, self.no):
            ids = tokenizer.encode(answer, add_special_tokens=False)
            if len(ids) != 1:
                raise GeorankerError(f"{answer!r} is {len(ids)} tokens of this model, not one; choose another answer")
            rows += ids
        self.weight = nn.Parameter(vocabulary[rows].detach().float().clone())

    def forward(self, hidden: Tensor) -> Tensor:
        """Return (N,) differences of logits."""
        yes, no = nn.functional.linear(hidden, self.weight.to(hidden.dtype)).unbind(1)
        return yes - no
