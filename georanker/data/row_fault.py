"""What is said of rows that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowFault:
    """What is wrong with some rows of a table."""

    column: str
    """Where it lies; "" if in no column that was read."""
    kind: str
    """The same for all of the rows, such as "is not a number"."""
    count: int
    rows: Sequence[str]
    """The first of them, told with file, row, column and value."""
