"""YFCC4K, a benchmark of unfiltered photos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from georanker.data.paper_table import PaperTable


class YFCC4K(PaperTable):
    """4,536 Flickr photos, drawn at random from YFCC100M (Vo, Jacobs and Hays, ICCV 2017).

    The photos are `yfcc4k.zip` (https://github.com/lugiavn/revisiting-im2gps links it). The tables:

    - `yfcc4k.csv` of the paper's repository (github.com/Applied-Machine-Learning-Lab/GeoRanker, `dataset/yfcc4k`), with
      retrieved and generated candidates in its cells;
    - `yfcc4k_places365.csv`, which comes with the checkpoints of G3 (huggingface.co/Jia-py/G3-checkpoint). The link
      to YFCC4K's metadata in the readmes of G3 and of the paper leads to `yfcc25600_places365.csv`, which is YFCC26K:
      a table of 25,600 rows is warned of.

    With the latter, `neighbours` names the repository's `I.npy`, rows of `MP16_Pro_filtered.csv` (see MP16Pro). The
    paper says 12 and 3 candidates for IM2GPS3K only; here they are a guess. The photos of YFCC100M have the Creative
    Commons licences that their authors chose; none is stated for the tables.
    """

    known_rows: ClassVar[Mapping[str, int]] = {**PaperTable.known_rows, "test": 4_536}
