"""The prompts about one photo, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SharedList:
    """Where the prompts about one photo stand in the row."""

    start: int
    shared: int
    """How many tokens they share."""
    rests: tuple[int, ...]
    """How many tokens follow in each prompt."""

    @property
    def middle(self) -> int:
        """The place after the last token that is shared."""
        return self.start + self.shared

    @property
    def end(self) -> int:
        """The place after the last token."""
        return self.middle + sum(self.rests)

    def spans(self) -> Iterator[slice]:
        """Yield where the rest of each prompt stands."""
        place = self.middle
        for rest in self.rests:
            yield slice(place, place + rest)
            place += rest
