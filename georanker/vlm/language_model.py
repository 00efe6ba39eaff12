"""Prompts through the language model, in the fastest way that is exact."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from georanker.vlm.features import PhotoFeatures
from georanker.vlm.language import Prompts, last_hidden
from georanker.vlm.shared import ATTENTION, NotShareableError, register, shared_last_hidden, shared_tokens

_FINE, _COARSE = 1e-3, 0.1  # of 32 and of 16 bits; where sharing is wrong, states differ by about their own size


class LanguageModel:
    """Runs prompts, what those about one photo share only once if that is exact for this model.

    The first prompts are run both ways. A model for which the two differ is told of in a warning, and then reads each
    prompt in full.

    Args:
        model: a vision-language model with its vocabulary head.
        tokens_at_once: prompts are run together up to so many tokens.
        share: whether to share.
    """

    def __init__(self, model: Any, tokens_at_once: int, share: bool) -> None:
        self._model = model
        self._decoder = model.get_decoder()
        self._tokens_at_once = tokens_at_once
        self._plain = self._decoder.config._attn_implementation
        self._checked = False
        self.shares = share
        if share:
            register()
            self._decoder.set_attn_implementation(ATTENTION)

    def __call__(self, prompts: Prompts, sizes: Sequence[int], features: PhotoFeatures | None) -> Tensor:
        """Return (N, H) the hidden state of each prompt's last token.

        Args:
            prompts: those of a list side by side.
            sizes: how many prompts each list has.
            features: of their photos; None if they have none.
        """
        model = self._model.base_model
        if self.shares and not self._checked:
            self._check(prompts, sizes, features)
        if not self.shares:
            portions = _full_portions(prompts, self._tokens_at_once)
            return torch.cat([last_hidden(model, some, features) for some in portions])
        shared = _shared_portions(prompts, sizes, self._tokens_at_once)
        return torch.cat([shared_last_hidden(model, some, counts, features) for some, counts in shared])

    @torch.no_grad()
    def _check(self, prompts: Prompts, sizes: Sequence[int], features: PhotoFeatures | None) -> None:
        """Compare both ways on the first list with at least two prompts, and stop sharing if they differ."""
        number = next((number for number, size in enumerate(sizes) if size > 1), None)
        if number is None:
            return  # nothing is shared
        first = sum(sizes[:number])
        some = prompts[first : first + 2]
        modes = [(module, module.training) for module in self._model.modules()]
        self._model.eval()
        try:
            shared = shared_last_hidden(self._model.base_model, some, [2], features).float()
            plain = last_hidden(self._model.base_model, some, features).float()
            difference = float((shared - plain).norm() / plain.norm())
            exact = self._model.dtype == torch.float32 and not torch.is_autocast_enabled(some.ids.device.type)
            if difference > (_FINE if exact else _COARSE):
                raise NotShareableError(f"its states would be off by {difference:.1%}")
        except NotShareableError as error:
            self.shares = False
            self._decoder.set_attn_implementation(self._plain)
            warnings.warn(
                f"model {self._model.name_or_path}: what candidates share is computed for each of them, since {error}",
                stacklevel=2,
            )
        finally:
            for module, training in modes:
                module.training = training
        self._checked = True


def _full_portions(prompts: Prompts, tokens: int) -> Iterator[Prompts]:
    """Yield prompts, as many at a time as fit into `tokens` with their padding."""
    size = max(1, tokens // prompts.ids.shape[1])
    for start in range(0, len(prompts), size):
        yield prompts[start : start + size]


def _shared_portions(prompts: Prompts, sizes: Sequence[int], tokens: int) -> Iterator[tuple[Prompts, list[int]]]:
    """Yield prompts with the sizes of their lists, as many at a time as fit into `tokens`; a long list is cut."""
    first = begin = cost = 0
    counts: list[int] = []
    for size in sizes:
        shared = shared_tokens(prompts, slice(first, first + size))
        for number in range(first, first + size):
            rest = int(prompts.lengths[number]) - shared
            new = number == first
            if cost and cost + rest + shared * new > tokens:
                yield prompts[begin:number], counts
                begin, cost, counts, new = number, 0, [], True
            cost += rest + shared * new
            counts = [*counts, 1] if new else [*counts[:-1], counts[-1] + 1]
        first += size
    if counts:
        yield prompts[begin:], counts
