"""IM2GPS, the first benchmark of the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from georanker.data.paper_table import PaperTable


class IM2GPS(PaperTable):
    """237 Flickr photos (Hays and Efros, CVPR 2008).

    The table is `im2gps_places365.csv` of github.com/TIBHannover/GeoEstimation; the photos are on the page of its
    authors (graphics.cs.cmu.edu/projects/im2gps). There are no candidates for it: retrieve them. So few photos give
    standard errors of about 3 points. No licence is stated for the photos or the table.
    """

    known_rows: ClassVar[Mapping[str, int]] = {**PaperTable.known_rows, "test": 237}
