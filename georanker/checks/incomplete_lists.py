"""Lists that are empty, lack, or belong to other photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow.compute as pc

from georanker.checks.base import Check, Finding, Lists, Split, found


class IncompleteLists(Check):
    """Finds lists that are too short, photos without one, and lists whose photo or truth is not that of the split."""

    def findings(self, splits: Sequence[Split]) -> Iterator[Finding]:
        """Yield them split by split."""
        for split in splits:
            if split.lists is not None:
                yield from _findings(split, split.lists)


def _findings(split: Split, lists: Lists) -> Iterator[Finding]:
    empty = np.flatnonzero(lists.lengths == 0)
    fix = "retrieve candidates for them, or drop their rows"
    yield from found(split.name, "empty lists", empty, fix, lists.list_line)

    if split.name == "train":
        single = np.flatnonzero(lists.lengths == 1)
        fix = "nothing can be learned from them: take more candidates, or a larger gallery"
        yield from found(split.name, "lists of one candidate", single, fix, lists.list_line)

    ids = split.ids
    without = ids.filter(pc.invert(pc.is_in(ids, lists.ids)))
    fix = "retrieve again; a photo that was skipped, or that nobody could guess, stays without"
    yield from found(split.name, "photos without a list", without, fix)

    at = pc.index_in(lists.ids, value_set=ids)
    strange = lists.ids.filter(pc.is_null(at))
    fix = "the candidates were made for other data: retrieve again, or name the data that they were made for"
    yield from found(split.name, "lists of photos that the split does not have", strange, fix)
    rows = np.flatnonzero(pc.is_valid(at).to_numpy(zero_copy_only=False))
    truth, place = lists.truth[rows], split.places[at.drop_null().to_numpy()]
    other = ~np.isclose(truth, place, rtol=0, atol=1e-6, equal_nan=True).all(1)
    yield from found(split.name, "lists with another truth than their photo", rows[other], fix, lists.list_line)
