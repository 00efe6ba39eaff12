"""OpenStreetView-5M, street-level photos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from georanker.data.base import Collator
from georanker.data.geo_table import GeoTable
from georanker.data.tables import BadRows
from georanker.stores.folder_store import FolderStore
from georanker.stores.several_stores import SeveralStores
from georanker.stores.zip_store import ZipStore
from georanker.types import GeorankerError


class OSV5M(GeoTable):
    """210,122 street-level photos to test on, and 4,894,685 that are gallery and training (Astruc et al., CVPR 2024).

    The folder is that of huggingface.co/datasets/osv5m/osv5m: `test.csv`, `train.csv`, and the photos in
    `images/test/00.zip`, `images/train/00.zip` and so on, which are read as they are; unpacked ones are read too, also
    beside zipped ones. A part is enough: without `train.csv` there is the split test only. The photos are Mapillary's,
    CC-BY-SA. A country is a code of two letters, and what is named a state is the table's region. Test photos lie at
    least 1 km from those of training. Papers report its figures with the haversine at R = 6371 km.

    Args:
        root: the folder.
        on_bad_rows: what to do with rows that cannot be used, error or skip; see GeoTable.
        candidates: the folder with the candidates files; without it the loaders give photos.
        batch_size: photos or lists in a batch of one process.
        num_workers: processes that decode photos beside the training.
        seed: of the order of training; None for that of seed_everything.
        collator: makes a batch of photos or lists; it comes from the model.
    """

    known_rows: ClassVar[Mapping[str, int]] = {
        "test": 210_122,
        **dict.fromkeys(("train", "retriever_train", "gallery"), 4_894_685),
    }

    def __init__(
        self,
        root: Path,
        on_bad_rows: BadRows = "error",
        candidates: Path | None = None,
        batch_size: int = 64,
        num_workers: int = 0,
        seed: int | None = None,
        collator: Collator | None = None,
    ) -> None:
        test, train = (
            table if table.exists() else None for table in (Path(root) / "test.csv", Path(root) / "train.csv")
        )
        if test is None and train is None:
            raise GeorankerError(f"{root}: holds neither test.csv nor train.csv; name the folder of OSV-5M")
        super().__init__(
            test=test,
            train=train,
            retriever_train=train,
            gallery=train,
            city_column="city",
            state_column="region",
            country_column="country",
            on_bad_rows=on_bad_rows,
            candidates=candidates,
            batch_size=batch_size,
            num_workers=num_workers,
            seed=seed,
            collator=collator,
        )
        images = Path(root) / "images"
        archives = sorted(images.glob("*/*.zip"))
        if images.is_dir():
            unpacked = FolderStore(images)
            both = SeveralStores([ZipStore(archives), unpacked]) if archives else unpacked
            self.photo_source = self.gallery_source = both
