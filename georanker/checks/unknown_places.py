"""Photos without a place where one is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from georanker.checks.base import Check, Finding, Split, found

_LOCATED = "test"
"""The split that `predict` may locate without knowing the truth."""


class UnknownPlaces(Check):
    """Finds photos without a place in a gallery, and where models learn or are compared."""

    def findings(self, splits: Sequence[Split]) -> Iterator[Finding]:
        """Yield them split by split."""
        for split in splits:
            if split.name != _LOCATED:
                ids = split.ids.take(pa.array(np.flatnonzero(np.isnan(split.places).any(1))))
                fix = "give them places, drop them, or leave them out with data.on_bad_rows=skip"
                yield from found(split.name, "photos without a place", ids, fix)
