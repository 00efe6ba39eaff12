"""Candidates that are the query itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from georanker.checks.base import Check, Finding, Lists, Split, digest_codes, found


class Leakage(Check):
    """Finds candidates that are their own query: the same photo, the same bytes, or exactly the same coordinates.

    A ranker that meets them learns to recognise photos instead of places, and its figures are too good.
    """

    def findings(self, splits: Sequence[Split]) -> Iterator[Finding]:
        """Yield them split by split; a candidate is told once, by the strongest sign."""
        fix = "leave the query and its copies out of its candidates when they are retrieved"
        for split in splits:
            if split.lists is None:
                continue
            told = np.zeros(len(split.lists.row), bool)
            for what, same in _signs(split, split.lists):
                yield from found(split.name, what, np.flatnonzero(same & ~told), fix, split.lists.candidate_line)
                told |= same


def _signs(split: Split, lists: Lists) -> Iterator[tuple[str, np.ndarray]]:
    query_bytes = digest_codes(lists.ids, split.looks)[lists.row]
    candidate_bytes = digest_codes(lists.candidate_ids, split.candidate_looks)
    read = (query_bytes >= 0) & (candidate_bytes >= 0)
    ids, candidate_ids = (column.to_numpy(zero_copy_only=False) for column in (lists.ids, lists.candidate_ids))
    # Two stores may use one id for two photos: bytes that differ speak louder.
    one_id = (ids[lists.row] == candidate_ids) & ~(read & (query_bytes != candidate_bytes))
    yield "candidates that are the query's own photo", one_id
    yield "candidates with the bytes of the query", read & (query_bytes == candidate_bytes)
    yield "candidates at exactly the query's coordinates", (lists.truth[lists.row] == lists.places).all(1)
