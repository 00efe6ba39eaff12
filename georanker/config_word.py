"""A piece of a config file, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Word:
    """A key or a value of a config file.

    Args:
        text: as it is written.
        file: where it stands.
        line: from 1.
        keys: those above it, from the command line through all files that point to this one.
        is_key: whether it is a key.
    """

    text: str
    file: Path
    line: int
    keys: tuple[str, ...]
    is_key: bool
