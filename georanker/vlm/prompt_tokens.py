"""A prompt as token ids."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """The S tokens of one prompt."""

    ids: tuple[int, ...]
    rows: tuple[int, ...]
    """For each token the row of the feature that takes its place, -1 for text."""
