"""The language model of a vision-language model: prompts and features become hidden states."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from georanker.vlm.features import PhotoFeatures


@dataclass(frozen=True, slots=True)
class Prompts:
    """N prompts of up to S tokens."""

    ids: Tensor
    """(N, S) tokens, 0 after the end."""
    rows: Tensor
    """(N, S) the feature that stands there, -1 for text and after the end."""
    lengths: Tensor
    """(N,) at least 1."""

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, which: slice | Tensor) -> Prompts:
        """Return some of the prompts, cut to the longest of them."""
        lengths = self.lengths[which]
        longest = int(lengths.max())
        return Prompts(self.ids[which, :longest], self.rows[which, :longest], lengths)

    @property
    def mask(self) -> Tensor:
        """(N, S) whether a token is real."""
        return torch.arange(self.ids.shape[1], device=self.ids.device) < self.lengths[:, None]

    def with_photos(self, model: Any, features: PhotoFeatures | None) -> AbstractContextManager[None]:
        """Let a model that reads these prompts find the features of their photos ready."""
        shown = self.rows[self.rows >= 0]
        return nullcontext() if features is None or not len(shown) else features.given_to(model, shown)


def last_hidden(model: Any, prompts: Prompts, features: PhotoFeatures | None) -> Tensor:
    """Run prompts through a model, each of them in full.

    Args:
        model: the one below the vocabulary head.
        prompts: to be read.
        features: of their photos; None if they have none.

    Returns:
        (N, H) the hidden state of each prompt's last token.
    """
    with prompts.with_photos(model, features):
        out = model(
            input_ids=prompts.ids,
            attention_mask=prompts.mask.long(),
            position_ids=positions(model, prompts, features),
            use_cache=False,
            **photo_inputs(model, prompts),
        )
    each = torch.arange(len(prompts), device=prompts.ids.device)
    hidden: Tensor = out.last_hidden_state[each, prompts.lengths - 1]
    return hidden


def photo_inputs(model: Any, prompts: Prompts) -> dict[str, Tensor]:
    """Return what tells a model that, and where, there are photos."""
    is_photo = prompts.rows >= 0
    inputs: dict[str, Tensor] = {}
    if is_photo.any():
        inputs["pixel_values"] = prompts.ids.new_zeros(1)  # the features are ready: this says that there are some
    if "token_type_ids" in inspect.signature(model.forward).parameters:
        inputs["token_type_ids"] = is_photo.long()  # these models let the tokens of a photo see each other
    return inputs


def positions(model: Any, prompts: Prompts, features: PhotoFeatures | None) -> Tensor:
    """Return the positions of tokens, (N, S), or (3, N, S) for models that place photos in time, height and width."""
    device = prompts.ids.device
    if not hasattr(model, "get_rope_index"):
        return torch.arange(prompts.ids.shape[1], device=device).expand_as(prompts.ids)
    # transformers counts in Python, and would wait for a GPU at each step.
    ids, rows, mask = prompts.ids.cpu(), prompts.rows.cpu(), prompts.mask.cpu()
    shown = features.photos_at(rows) if features is not None else rows.new_empty(0)
    found, _ = model.get_rope_index(
        input_ids=ids,
        mm_token_type_ids=(rows >= 0).int(),
        image_grid_thw=features.grids.cpu()[shown] if features is not None and len(shown) else None,
        attention_mask=mask.long(),
    )
    places: Tensor = found.to(device)
    return places
