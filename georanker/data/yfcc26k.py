"""YFCC26K, the largest benchmark of Flickr photos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from georanker.data.paper_table import PaperTable


class YFCC26K(PaperTable):
    """25,600 Flickr photos of YFCC100M (Müller-Budack, Pustu-Iren and Ewerth, ECCV 2018; also named YFCC25600).

    The table is `yfcc25600_places365.csv` of the releases of github.com/TIBHannover/GeoEstimation; the photos are
    downloaded from Flickr with the list `yfcc25600_urls.csv` there. Some have been deleted since, and figures over the
    rest are not those of papers: `georanker check-data` counts what is missing. There are no candidates for it:
    retrieve them. The photos of YFCC100M have the Creative Commons licences that their authors chose; none is stated
    for the table.
    """

    known_rows: ClassVar[Mapping[str, int]] = {**PaperTable.known_rows, "test": 25_600}
