"""IM2GPS3K, the benchmark that most papers report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from georanker.data.paper_table import PaperTable


class IM2GPS3K(PaperTable):
    """2,997 Flickr photos (Vo, Jacobs and Hays, ICCV 2017).

    The archive of the photos, `im2gps3ktest.zip` (https://github.com/lugiavn/revisiting-im2gps links it), holds 3,000
    files; three have no place, and the figures of papers are over the 2,997 of the table. The tables:

    - `im2gps3k.csv` of the paper's repository (github.com/Applied-Machine-Learning-Lab/GeoRanker, `dataset/im2gps3k`),
      with 20 retrieved and 10 generated candidates in its cells, of which the paper takes 12 and the first 3;
    - `im2gps3k_places365.csv` (github.com/TIBHannover/GeoEstimation), without candidates. An early public copy has LAT
      and LON swapped, which is refused; `latitude_column: LON` with `longitude_column: LAT` reads it.

    With the latter, `neighbours` names the repository's `I.npy`, rows of `MP16_Pro_filtered.csv` (see MP16Pro). No
    licence is stated for the photos or the tables.
    """

    known_rows: ClassVar[Mapping[str, int]] = {**PaperTable.known_rows, "test": 2_997}
