"""Where on Earth was this photo taken? Retrieve candidate places, then rank them by how near they are.

Read `georanker.types` first: it is the vocabulary of the whole package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from georanker.localizer import Localizer

__version__ = "0.1.0"
__all__ = ["Localizer"]


def __getattr__(name: str) -> type[Localizer]:
    if name == "Localizer":  # imported when it is asked for, so that `georanker --help` does not wait for torch
        from georanker.localizer import Localizer

        return Localizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
