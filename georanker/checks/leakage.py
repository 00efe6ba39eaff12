"""Candidates and negatives that are the query itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from georanker.checks.base import Check, Finding, Lists, Split, digest_codes, found
from georanker.stores.names import spelled_alike


class Leakage(Check):
    """Finds candidates and negatives that are their own query: the same photo, bytes, or exactly the same coordinates.

    A ranker that meets such candidates learns to recognise photos instead of places, and its figures are too good; a
    negative that is the query tells a prompt the answer, and calls it wrong.
    """

    def findings(self, splits: Sequence[Split]) -> Iterator[Finding]:
        """Yield them split by split; a candidate is told once, by the strongest sign."""
        for split in splits:
            for lists in (split.lists, split.lists.negatives) if split.lists is not None else ():
                fix = f"leave the query and its copies out of its {lists.whose} when they are retrieved"
                told = np.zeros(len(lists.row), bool)
                for what, same in _signs(split, lists):
                    items = np.flatnonzero(same & ~told)
                    yield from found(split.name, f"{lists.whose} {what}", items, fix, lists.candidate_line)
                    told |= same


def _signs(split: Split, lists: Lists) -> Iterator[tuple[str, np.ndarray]]:
    query_bytes = digest_codes(lists.ids, split.looks)[lists.row]
    candidate_bytes = digest_codes(lists.candidate_ids, split.candidate_looks)
    read = (query_bytes >= 0) & (candidate_bytes >= 0)
    ids, candidate_ids = (
        spelled_alike(column).to_numpy(zero_copy_only=False) for column in (lists.ids, lists.candidate_ids)
    )
    # Two stores may use one id for two photos: bytes that differ speak louder.
    one_id = (ids[lists.row] == candidate_ids) & ~(read & (query_bytes != candidate_bytes))
    yield "that are the query's own photo", one_id
    yield "with the bytes of the query", read & (query_bytes == candidate_bytes)
    shown = lists.candidate_ids.is_valid().to_numpy(zero_copy_only=False)  # a guess without a photo may be right
    yield "at exactly the query's coordinates", shown & (lists.truth[lists.row] == lists.places).all(1)
