"""Who sees whom in a row that holds the prompts of several candidates."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from georanker.vlm.joined_attention import Parts
from georanker.vlm.shared_list import SharedList


class NotShareableError(Exception):
    """A model whose candidates cannot share what they have in common."""


@dataclass(slots=True)
class Layout:
    """What the attention of a row needs to know."""

    lists: tuple[SharedList, ...]
    photos: Tensor | None
    """(T,) for models whose photos' tokens see each other: which of a photo's runs a token is in, -1 for text."""
    last_layer: int = 0
    """Which layer is the last, of which only the last token of each prompt is wanted; 0 if all layers are wanted."""
    layers: int = 0
    """How many layers have asked."""
    masks: dict[tuple[int, int | None], tuple[Tensor | None, Tensor]] = field(default_factory=dict)
    joined: Parts | None = None

    def parts(self) -> Parts:
        """Return the row's parts, cut once for all layers."""
        if self.joined is None:
            self.joined = Parts.of(self.lists)
        return self.joined

    def is_causal(self, window: int | None) -> bool:
        """Whether each token sees all that comes before it in its prompt, and nothing else.

        Args:
            window: how far back a token sees; None for all.
        """
        longest = max(where.shared + max(where.rests) for where in self.lists)
        return self.photos is None and (window is None or longest <= window)

    def mask(self, number: int, window: int | None, device: torch.device) -> tuple[Tensor | None, Tensor]:
        """Return who sees whom in a list: (S, S) in what is shared, None if causal, and (K or 1, 1, R, S + R) after.

        Args:
            number: of the list.
            window: how far back a token sees; None for all.
            device: of the masks.
        """
        found = self.masks.get((number, window))
        if found is None:
            found = self.masks[number, window] = self._mask(self.lists[number], window, device)
        return found

    def _mask(self, where: SharedList, window: int | None, device: torch.device) -> tuple[Tensor | None, Tensor]:
        first, longest = where.shared, max(where.rests)
        place = torch.arange(first + longest, device=device)
        back = place[:, None] - place
        near = back < (window or len(place))
        if self.photos is None:
            seen = (back >= 0) & near
            return seen[:first, :first] if window and first > window else None, seen[None, None, first:]
        before, after = torch.split(self.photos[where.start : where.end], [first, sum(where.rests)])
        runs = pad_sequence(list(torch.split(after, list(where.rests))), batch_first=True, padding_value=-1)
        whole = torch.cat([before.expand(len(runs), -1), runs], dim=1)
        together = (whole[:, :, None] == whole[:, None]) & (whole >= 0)[:, None]
        seen = ((back >= 0) | together) & near
        return seen[0, :first, :first], seen[:, None, first:]
