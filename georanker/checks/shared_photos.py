"""Photos that two splits share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import pyarrow.compute as pc

from georanker.checks.base import Check, Finding, Look, Split, found

MEASURED = {"val", "test"}


class SharedPhotos(Check):
    """Finds photos of val and test that another split holds too, by id or by bytes.

    A gallery may share its photos with what trains a retriever or ranker; what is measured may share none.
    """

    def findings(self, splits: Sequence[Split]) -> Iterator[Finding]:
        """Yield them pair by pair."""
        fix = "keep each photo in one of the two: figures on it would be too good"
        for one, two in combinations(splits, 2):
            if not {one.name, two.name} & MEASURED:
                continue
            pair = f"{one.name}, {two.name}"
            both = sorted(pc.unique(one.ids.filter(pc.is_in(one.ids, value_set=two.ids))).to_pylist())
            ids = [id_ for id_ in both if _may_be_one(one.looks.get(id_), two.looks.get(id_))]
            yield from found(pair, "photos that are in both", ids, fix)
            by_bytes = {look.digest: id_ for id_, look in one.looks.items() if look.digest}
            copies = [
                f"{by_bytes[look.digest]} = {id_}"
                for id_, look in two.looks.items()
                if look.digest in by_bytes and by_bytes[look.digest] != id_
            ]
            yield from found(pair, "photos that are in both, byte for byte, by other ids", copies, fix)


def _may_be_one(one: Look | None, two: Look | None) -> bool:
    """Return whether photos of one id may be the same photo; two stores may use one id for two photos."""
    return not (one and two and one.digest and two.digest) or one.digest == two.digest
