"""MP16-Pro, the gallery of the paper, and what trains its retriever."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from georanker.data.base import Collator
from georanker.data.geo_table import GeoTable
from georanker.data.tables import BadRows


class MP16Pro(GeoTable):
    """4,122,110 Flickr photos with places and their names, as the splits gallery and retriever_train.

    MP-16 (Larson et al., 2017, of YFCC100M) with names from geocoding, made for G3 (arXiv 2405.14702):
    `MP16_Pro_filtered.csv` and `mp-16-images.tar` (huggingface.co/datasets/Jia-py/MP16-Pro). The `tar_index.pkl` beside
    it is a pickle, which can run code: it is not read, an index of our own is made of the archive. `I.npy` counts the
    rows of `MP16_Pro_filtered.csv`, not those of `MP16_Pro_places365.csv`. The archive comes in 19 pieces of a bytewise
    cut, 370 GB together, which are to be put one behind the other; its members are named `./images/ab_cd_1234.jpg`, of
    which an id is the last part. The photos have the Creative Commons licences that their authors chose; none is stated
    for the table.

    There is no split val: train a retriever with `--trainer.limit_val_batches 0`. The table is kept as columns, about
    100 bytes a row; a photo is made when it is asked for. A spawned worker of a loader gets a copy of them.

    Args:
        table: `MP16_Pro_filtered.csv`, `MP16_Pro_places365.csv`, or a part of one.
        photos: `mp-16-images.tar`, or a folder with its photos.
        latitude_column: degrees north.
        longitude_column: degrees east.
        on_bad_rows: what to do with rows that cannot be used, error or skip; see GeoTable.
        candidates: not needed here; without it the loaders give photos.
        batch_size: photos in a batch of one process.
        num_workers: processes that decode photos beside the training.
        seed: of the order of training; None for that of seed_everything.
        collator: makes a batch of photos; it comes from the model.
    """

    known_rows: ClassVar[Mapping[str, int]] = {"gallery": 4_122_110, "retriever_train": 4_122_110}

    def __init__(
        self,
        table: Path,
        photos: Path | None = None,
        latitude_column: str = "LAT",
        longitude_column: str = "LON",
        on_bad_rows: BadRows = "error",
        candidates: Path | None = None,
        batch_size: int = 64,
        num_workers: int = 0,
        seed: int | None = None,
        collator: Collator | None = None,
    ) -> None:
        super().__init__(
            gallery=table,
            retriever_train=table,
            photos=photos,
            id_column="IMG_ID",
            latitude_column=latitude_column,
            longitude_column=longitude_column,
            city_column="city",
            state_column="state",
            country_column="country",
            continent_column="continent",
            on_bad_rows=on_bad_rows,
            candidates=candidates,
            batch_size=batch_size,
            num_workers=num_workers,
            seed=seed,
            collator=collator,
        )
