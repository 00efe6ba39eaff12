"""Which tokens of a row are asked together, and which they look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor


@dataclass(frozen=True)
class Segments:
    """Runs of tokens one after the other: those of each run that asks look at those of one that is given."""

    asked: tuple[int, ...]
    """The tokens of each run that asks."""
    given: tuple[int, ...]
    """The tokens of each run that is looked at."""
    causal: bool
    """Whether a token looks at those up to its own place only; both runs have as many then."""
    _ends: dict[torch.device, tuple[Tensor, Tensor]] = field(default_factory=dict, compare=False, repr=False)

    def slices(self) -> Iterator[tuple[slice, slice]]:
        """Yield where each run that asks stands, and where what it looks at."""
        begin = start = 0
        for asked, given in zip(self.asked, self.given, strict=True):
            yield slice(begin, begin + asked), slice(start, start + given)
            begin, start = begin + asked, start + given

    def ends(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return (R + 1,) int32 twice: 0, and after how many tokens each run ends, of both kinds."""
        if device not in self._ends:
            self._ends[device] = (_ends(self.asked, device), _ends(self.given, device))
        return self._ends[device]


def _ends(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=device)
