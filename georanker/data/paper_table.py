"""The form in which benchmarks of Flickr photos are kept: `IMG_ID`, `LAT` and `LON`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from georanker.data.base import Collator
from georanker.data.geo_table import GeoTable
from georanker.data.neighbours import Neighbours
from georanker.data.tables import BadRows, TableFile, column_names

_PLACES = "candidate_gps_lis"


class PaperTable(GeoTable):
    """A benchmark of Flickr photos whose table has `IMG_ID`, `LAT` and `LON`, as the paper's repository keeps them.

    Candidates come from `candidates`, or else from `neighbours` with `gallery`, without guessed places, or else from
    the cells of `table` where it has them. In the latter two the negatives are the last of the photo's full list of 20,
    taken before it is cut to `retrieved`; lists of `candidates` are cut to the same numbers. Guessed places follow the
    retrieved ones, so that those win on ties.

    Source: arXiv 2505.13731, `compile_prediction_candidates.py` and `evaluate.py` of its public code.

    Args:
        table: the photos, with `IMG_ID`, `LAT` and `LON`.
        photos: the folder, .tar or .zip with the photos.
        gallery: the table of MP16-Pro, which `neighbours` counts in; also the split gallery.
        gallery_photos: the photos of MP16-Pro, such as `mp-16-images.tar`.
        neighbours: the array of rows of `gallery`, such as `I.npy`.
        retrieved: retrieved candidates of each photo.
        generated: guessed places of each photo.
        negatives: negatives of each photo.
        latitude_column: degrees north; LON for an early copy whose columns are swapped.
        longitude_column: degrees east; LAT for such a copy.
        on_bad_rows: what to do with rows that cannot be used, error or skip; see GeoTable.
        candidates: the folder with the candidates files; without it the loaders give the benchmark's own, or photos.
        batch_size: photos or lists in a batch of one process.
        num_workers: processes that decode photos beside the training.
        seed: of the order of training; None for that of seed_everything.
        collator: makes a batch of photos or lists; it comes from the model.
    """

    known_rows: ClassVar[Mapping[str, int]] = {"gallery": 4_122_110}
    names_candidates: ClassVar[bool] = False  # the public adapter has read the names of these tables, and no others

    def __init__(
        self,
        table: Path,
        photos: Path | None = None,
        gallery: Path | None = None,
        gallery_photos: Path | None = None,
        neighbours: Path | None = None,
        retrieved: int = 12,
        generated: int = 3,
        negatives: int = 5,
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
            test=table,
            gallery=gallery,
            photos=photos,
            gallery_photos=gallery_photos,
            id_column="IMG_ID",
            latitude_column=latitude_column,
            longitude_column=longitude_column,
            city_column="city",
            state_column="state",
            country_column="country",
            continent_column="continent",
            candidate_places_column=_PLACES,
            candidate_photos_column="candidate_img_lis",
            candidate_names_column="candidate_text_lis",
            generated_places_column="zs_gps_lis" if generated else None,
            retrieved=retrieved,
            generated=generated,
            negatives=negatives,
            on_bad_rows=on_bad_rows,
            candidates=candidates,
            batch_size=batch_size,
            num_workers=num_workers,
            seed=seed,
            collator=collator,
        )
        if neighbours is not None and gallery is None:
            raise ValueError("neighbours needs gallery, the table of MP16-Pro whose rows it names")
        self._neighbours = None
        if neighbours is not None and gallery is not None:
            self._neighbours = Neighbours(
                Path(neighbours), Path(gallery), self.known_rows["gallery"], retrieved, negatives
            )

    def fields(self, split: str) -> Mapping[str, str]:
        """Return the columns of a split's table; the gallery's alone holds names of places."""
        fields = super().fields(split)
        if split == "gallery":
            return {**fields, "latitude": "LAT", "longitude": "LON"}
        return {field: fields[field] for field in ("id", "latitude", "longitude")}

    def candidate_columns(self, split: str) -> Sequence[str] | None:
        """Return the columns that hold candidates; None for a table without them, if there is no array either."""
        if split != "test":
            return None
        if self._neighbours is not None:
            return ()
        return super().candidate_columns(split) if _PLACES in column_names(self.tables[split]) else None

    def read_candidates(self, split: str, table: TableFile) -> tuple[pa.Array, pa.Array]:
        """Return the columns candidates and negatives."""
        if self._neighbours is None:
            return super().read_candidates(split, table)
        return self._neighbours.read(table, self.on_bad_rows, self.skipped_rows(f"{split}.gallery"))
