"""One photo's prompts in the row that shares what they begin with."""

from __future__ import annotations

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
    def end(self) -> int:
        """The place after the last token."""
        return self.start + self.shared + sum(self.rests)
