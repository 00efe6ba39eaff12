"""The error that tells of rows that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence

from georanker.data.row_fault import RowFault
from georanker.types import GeorankerError


class UnusableRows(GeorankerError):
    """A table has rows that cannot be used; the message tells the first of them.

    Args:
        message: the line that is shown.
        faults: all that is wrong with the table, by column and kind.
    """

    def __init__(self, message: str, faults: Sequence[RowFault] = ()) -> None:
        super().__init__(message)
        self.faults = faults
