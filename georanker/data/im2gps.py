"""IM2GPS, the first benchmark of the field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from georanker.data.paper_table import PaperTable
from georanker.stores.base import PhotoStore
from georanker.stores.prefixed_names import PrefixedNames


class IM2GPS(PaperTable):
    """237 Flickr photos (Hays and Efros, CVPR 2008).

    The photos are `gps_query_imgs.zip`, 39 MB, on the page of its authors (graphics.cs.cmu.edu/projects/im2gps); the
    table is `im2gps_places365.csv`, once of github.com/TIBHannover/GeoEstimation. The files have the name of a place
    and a number before the id of the table, as in `Rome_00024_231521295_...jpg`; both spellings are found. There are
    no candidates for it: retrieve them. So few photos give standard errors of about 3 points. No licence is stated for
    the photos or the table.
    """

    known_rows: ClassVar[Mapping[str, int]] = {**PaperTable.known_rows, "test": 237}

    def opened(self, photos: Path) -> PhotoStore:
        """Return the store of the photos, whose files are named more than their ids."""
        return PrefixedNames(super().opened(photos))
