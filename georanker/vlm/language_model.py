"""Prompts through the language model, in the fastest way that is exact."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from georanker.hub import first_line
from georanker.vlm.features import PhotoFeatures
from georanker.vlm.language import Prompts, last_hidden
from georanker.vlm.layout import NotShareableError
from georanker.vlm.shared import shared_last_hidden, shared_tokens
from georanker.vlm.shared_attention import ATTENTION, register

_ATTENTIONS = {"full_attention", "sliding_attention"}
"""The kinds of layers, as transformers calls them, that a row of several prompts does not disturb."""
_FINE, _COARSE = 1e-3, 0.1  # of 32 and of 16 bits; where sharing is wrong, states differ by about their own size


class LanguageModel:
    """Runs prompts, what those about one photo share only once if that is exact for this model.

    The first prompts are run both ways, and so are the first that are more than twice as long as those, since some
    layers do more only then. A model for which the two differ is told of in a warning, and then reads each prompt in
    full.

    Args:
        model: a vision-language model with its vocabulary head.
        tokens_at_once: prompts are run together up to so many tokens.
        share: whether to share.
    """

    def __init__(self, model: Any, tokens_at_once: int, share: bool) -> None:
        self._model = model
        self._decoder = model.get_decoder()
        self.tokens_at_once = tokens_at_once
        self._plain = self._decoder.config._attn_implementation
        self._checked_tokens = 0
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
        if self.shares:
            self._check(prompts, sizes, features)
        if not self.shares:
            portions = _full_portions(prompts, self.tokens_at_once)
            return torch.cat([last_hidden(model, some, features) for some in portions])
        shared = _shared_portions(prompts, sizes, self.tokens_at_once)
        return torch.cat([shared_last_hidden(model, some, counts, features) for some, counts in shared])

    def _check(self, prompts: Prompts, sizes: Sequence[int], features: PhotoFeatures | None) -> None:
        """Compare both ways on two prompts of a list, if they are far longer than any before."""
        lengths = prompts.lengths.tolist()
        longest, first = 0, 0
        pair: list[int] = []
        for size in sizes:
            some = lengths[first : first + size]
            if size > 1 and max(some) > longest:
                longest = max(some)
                at = first + some.index(longest)
                pair = [at, at + 1 if at + 1 < first + size else at - 1]
            first += size
        if longest <= 2 * self._checked_tokens:
            return
        self._checked_tokens = longest
        try:
            self._compare(prompts[prompts.lengths.new_tensor(pair)], features)
        except NotShareableError as error:
            self.shares = False
            self._decoder.set_attn_implementation(self._plain)
            warnings.warn(
                f"model {self._model.name_or_path}: what candidates share is computed for each of them, since {error}",
                stacklevel=2,
            )

    @torch.no_grad()
    def _compare(self, pair: Prompts, features: PhotoFeatures | None) -> None:
        """Raise NotShareableError if two prompts give other states when they share."""
        kinds = set(getattr(self._decoder.config, "layer_types", None) or ())
        if not kinds <= _ATTENTIONS:
            raise NotShareableError("some of its layers do more than attend")
        modes = [(module, module.training) for module in self._model.modules()]
        self._model.eval()
        try:
            self._decoder.set_attn_implementation(self._plain)
            plain = last_hidden(self._model.base_model, pair, features).float()
            self._decoder.set_attn_implementation(ATTENTION)
            shared = self._shared(pair, features).float()
        finally:
            for module, training in modes:
                module.training = training
        difference = float((shared - plain).norm() / plain.norm())
        exact = self._model.dtype == torch.float32 and not torch.is_autocast_enabled(pair.ids.device.type)
        if difference > (_FINE if exact else _COARSE):
            raise NotShareableError(f"its states would be off by {difference:.1%}")

    def _shared(self, pair: Prompts, features: PhotoFeatures | None) -> Tensor:
        try:
            return shared_last_hidden(self._model.base_model, pair, [2], features)
        except (NotShareableError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # the code of a model that was never meant to read such a row may raise anything
            raise NotShareableError(f"it cannot read them side by side ({first_line(error)})") from error


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
