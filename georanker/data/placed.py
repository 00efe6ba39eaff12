"""Photos whose place is known, by which alone can be learned or measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from torch.utils.data import Subset

from georanker.candidate_table import CandidateTable
from georanker.data.table_photos import TablePhotos
from georanker.data.tables import BadRows, tell
from georanker.types import CandidateList, GeorankerError, Photo

Item = TypeVar("Item", Photo, CandidateList)


def placed(items: Sequence[Item], split: str, on_bad_rows: BadRows | None) -> Sequence[Item]:
    """Return those photos, or lists of photos, whose place is known.

    Args:
        items: all of them.
        split: theirs.
        on_bad_rows: "skip" to leave the others out and tell how many there are; None where there is no choice.

    Raises:
        GeorankerError: a place is not known and may not be skipped, or none is known.
    """
    known = _known(items)
    if known.all():
        return items
    photo = _photo(items[int(known.argmin())])
    said = f"photo {photo.id}: its place is not known"
    if not known.any():
        raise GeorankerError(f"{said}, nor that of any other of {split}; it can only be used in `predict`")
    if on_bad_rows != "skip":
        fix = "; leave such photos out with data.on_bad_rows=skip" if on_bad_rows else ""
        raise GeorankerError(f"{said}, so it can only be used in `predict`{fix}")
    tell(f"{(~known).sum():,} of {len(items):,} photos of {split} are left out, since their place is not known")
    return Subset(items, np.flatnonzero(known).tolist())  # type: ignore[arg-type, return-value]


def _photo(item: Photo | CandidateList) -> Photo:
    return item.photo if isinstance(item, CandidateList) else item


def _known(items: Sequence[Photo] | Sequence[CandidateList]) -> np.ndarray:
    """Return (N,) whether each has a place; columns tell at once."""
    if isinstance(items, CandidateTable):
        found: np.ndarray = items.columns["latitude"].is_valid().to_numpy(zero_copy_only=False)
        return found
    if isinstance(items, TablePhotos):
        return np.full(len(items), items.places is not None)
    return np.array([_photo(item).place is not None for item in items], bool)
