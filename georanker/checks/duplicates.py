"""The same thing more than once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from georanker.checks.base import Check, Finding, Lists, Split, found

CROWD = 10
CROWD_SHARE = 0.01
"""More photos than both of these at one exact point are a crowd."""


class Duplicates(Check):
    """Finds photos that a split holds twice, by id or by bytes, crowds at one exact point, and repeated candidates."""

    def findings(self, splits: Sequence[Split]) -> Iterator[Finding]:
        """Yield them split by split."""
        for split in splits:
            yield from found(split.name, "ids of more than one photo", _repeated(split.ids), "keep one row of each")
            same = defaultdict(list)
            for id_, look in split.looks.items():
                if look.digest:
                    same[look.digest].append(id_)
            copies = [" = ".join(ids) for ids in same.values() if len(ids) > 1]
            yield from found(split.name, "photos that are there again, byte for byte", copies, "keep one of each")
            fix = "a point of many photos is often a city's centre or a default: leave out what was not measured"
            yield from found(split.name, "exact points with a crowd of photos", _crowds(split.places), fix)
            if split.lists is not None:
                yield from _lists(split.name, split.lists)


def _repeated(ids: pa.Array) -> list[str]:
    counts = pc.value_counts(ids)
    several = counts.filter(pc.greater(counts.field("counts"), 1))
    return [f"{each['values']}: {each['counts']} times" for each in several.to_pylist()]


def _crowds(places: np.ndarray) -> list[str]:
    known = places[~np.isnan(places).any(1)]
    points, counts = np.unique(known, axis=0, return_counts=True)
    crowded = counts > max(CROWD, CROWD_SHARE * len(known))
    return [
        f"{latitude:.6g}, {longitude:.6g}: {count:,} photos"
        for (latitude, longitude), count in zip(points[crowded], counts[crowded], strict=True)
    ]


def _lists(name: str, lists: Lists) -> Iterator[Finding]:
    yield from found(name, "photos with more than one list", _repeated(lists.ids), "keep one list of each")
    table = pa.table({"row": lists.row, "id": lists.candidate_ids, "item": np.arange(len(lists.row))})
    groups = table.filter(pc.is_valid(table["id"])).group_by(["row", "id"])
    table = groups.aggregate([("item", "max"), ("item", "count")])
    again = np.sort(table.filter(pc.greater(table["item_count"], 1))["item_max"].to_numpy())
    fix = "a candidate counts once: drop what stands in its list before"
    yield from found(name, "candidates that stand in their list before", again, fix, lists.candidate_line)
