"""Photos that a table lists: your own, or those of a benchmark."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from georanker.candidate_table import SCHEMA, CandidateTable, named_column
from georanker.data.base import Collator, GeoDataModule
from georanker.data.candidate_cells import CandidateCells
from georanker.data.swapped import swapped
from georanker.data.table_photos import TablePhotos
from georanker.data.tables import BadRows, TableFile, tell
from georanker.discovery import classes
from georanker.stores.open_store import open_store
from georanker.types import LIMITS, GeorankerError, ListCollator, Photo, PhotoSource

_SAME_DEGREES = 1e-6


class GeoTable(GeoDataModule):
    """Photos whose ids and places stand in a CSV or parquet file, one file for each split that you have.

    Delimiter, encoding and byte order mark of a CSV file are found by themselves. An id is the name of a photo below
    the folder or archive, in any spelling that `georanker.stores` knows: with or without suffix and first folders, `_`
    for `/`. A table may carry candidates too, as lists in a parquet file or as Python literals in a CSV file, which are
    read and never run; with `candidates` those of the files there are taken instead, and as many of them.

    Rows that cannot be used are an error that names file, row and column. With `on_bad_rows: skip` they are left out,
    counted in one warning, and written to `skipped_rows.<split>.csv` in the trainer's default_root_dir, beside what
    another command writes, or in the working folder: file, row (the line of a CSV file, from 1; the row of a parquet
    file, from 0), column, value and reason. The file is removed when no row of its table is skipped any more. Photos
    that a retriever cannot read are left out too then, when it comes to them, and written to `unreadable_photos.csv`
    there; a ranker passes over such photos in any case.

    Args:
        test: the table of the photos to report.
        val: the table of the photos to choose settings on.
        train: the table of the photos that train a ranker.
        retriever_train: the table of the photos that train a retriever.
        gallery: the table of the photos that a retriever finds.
        photos: the folder, .tar or .zip with the photos; without it a model that looks at no photo can still be run.
        gallery_photos: the same for the photos of the gallery and of candidates; None for `photos`.
        id_column: names each photo.
        latitude_column: degrees north; null, with longitude_column, where no place is known.
        longitude_column: degrees east.
        city_column: names of cities; null where there are none, as for the next three.
        state_column: names of states.
        country_column: names of countries.
        continent_column: names of continents.
        candidate_places_column: lists of (latitude, longitude), best first; null where there are no candidates.
        candidate_photos_column: lists of the candidates' photos.
        candidate_names_column: lists of [city, state, country] or of [neighbourhood, city, county, state, region,
            country]; what is not there comes from the gazetteer.
        generated_places_column: lists of (latitude, longitude) that a language model has guessed; they follow the
            others, without photo and names. What is no place on the Earth, or (0, 0), is left out and counted.
        retrieved: candidates that are taken of each list; null for all.
        generated: guessed places that are taken of each list; null for all.
        negatives: as many from the end of the full list.
        on_bad_rows: what to do with rows that cannot be used, error or skip.
        candidates: the folder with the candidates files; without it the loaders give the table's own, or photos.
        batch_size: photos or lists in a batch of one process.
        num_workers: processes that decode photos beside the training.
        seed: of the order of training; None for that of seed_everything.
        collator: makes a batch of photos or lists; it comes from the model.
    """

    known_rows: ClassVar[Mapping[str, int]] = {}
    """How many rows the table of each split is known to have; another number is worth a warning."""
    names_candidates: ClassVar[bool] = True
    """Whether the table's own candidates get the names that they lack."""

    def __init__(
        self,
        test: Path | None = None,
        val: Path | None = None,
        train: Path | None = None,
        retriever_train: Path | None = None,
        gallery: Path | None = None,
        photos: Path | None = None,
        gallery_photos: Path | None = None,
        id_column: str = "id",
        latitude_column: str | None = "latitude",
        longitude_column: str | None = "longitude",
        city_column: str | None = None,
        state_column: str | None = None,
        country_column: str | None = None,
        continent_column: str | None = None,
        candidate_places_column: str | None = None,
        candidate_photos_column: str | None = None,
        candidate_names_column: str | None = None,
        generated_places_column: str | None = None,
        retrieved: int | None = None,
        generated: int | None = None,
        negatives: int = 5,
        on_bad_rows: BadRows = "error",
        candidates: Path | None = None,
        batch_size: int = 64,
        num_workers: int = 0,
        seed: int | None = None,
        collator: Collator | None = None,
    ) -> None:
        super().__init__(candidates, batch_size, num_workers, seed, collator)
        for name, count in (("retrieved", retrieved), ("generated", generated), ("negatives", negatives)):
            if count is not None and count < 0:
                raise ValueError(f"{name} must be at least 0, not {count}")
        if (latitude_column is None) != (longitude_column is None):
            raise ValueError("latitude_column and longitude_column must both be there, or neither")
        if latitude_column is not None and latitude_column == longitude_column:
            raise ValueError(f"latitude_column and longitude_column must be two columns, not {latitude_column!r} twice")
        self.save_hyperparameters(ignore=_paths(type(self)))  # they would have to be unpickled
        given = {"gallery": gallery, "retriever_train": retriever_train, "train": train, "val": val, "test": test}
        self.tables = {split: Path(path) for split, path in given.items() if path is not None}
        """The file of each split."""
        if not self.tables:
            raise ValueError("a table is needed for at least one split, such as data.test=photos.csv")
        fields = {
            "id": id_column,
            "latitude": latitude_column,
            "longitude": longitude_column,
            "city": city_column,
            "state": state_column,
            "country": country_column,
            "continent": continent_column,
        }
        self._fields = {field: column for field, column in fields.items() if column is not None}
        self._counts = retrieved, generated, negatives
        self._cells = None
        if candidate_places_column is not None:
            self._cells = CandidateCells(
                candidate_places_column,
                candidate_photos_column,
                candidate_names_column,
                generated_places_column,
                *self._counts,
            )
        self.on_bad_rows: BadRows = on_bad_rows
        self.photo_source = self.gallery_source = None if photos is None else self.opened(photos)
        if gallery_photos is not None:
            self.gallery_source = open_store(gallery_photos)
        # Splits may share a table; with its candidates it is another one than without.
        self._kept: dict[tuple[Path, PhotoSource | None, bool], tuple[TablePhotos, CandidateTable | None]] = {}
        self._counted: set[Path] = set()

    def photos(self, split: str) -> Sequence[Photo]:
        """Return the photos of a split, in the order of the table, which is read once for them and its own lists.

        Rows whose candidates cannot be used are left out here too, unless candidates are not asked of the table.
        """
        wanted = self.candidates is None and (self.collator is None or isinstance(self.collator, ListCollator))
        return self._read(split, self.candidate_columns(split) if wanted else None)[0]

    def own_lists(self, split: str) -> CandidateTable | None:
        """Return the candidates that the table of a split carries; None if no columns are named for them."""
        columns = self.candidate_columns(split)
        return None if columns is None else self._read(split, columns)[1]

    def cut(self, lists: CandidateTable) -> CandidateTable:
        """Return as many candidates and negatives of a candidates file as are taken of the table's own lists."""
        retrieved, generated, negatives = self._counts
        return lists.part(0, retrieved, generated, negatives)

    def fields(self, split: str) -> Mapping[str, str]:
        """Return the columns of a split's table by what they hold: id, and fields of `Place`."""
        return self._fields

    def candidate_columns(self, split: str) -> Sequence[str] | None:
        """Return the columns that `read_candidates` needs; None if the benchmark has no candidates of its own."""
        return None if self._cells is None or split == "gallery" else self._cells.columns

    def read_candidates(self, split: str, table: TableFile) -> tuple[pa.Array, pa.Array]:
        """Return the columns candidates and negatives, a row for each of the table; bad ones are noted as faults."""
        assert self._cells is not None
        return self._cells.read(table)

    def _read(self, split: str, columns: Sequence[str] | None) -> tuple[TablePhotos, CandidateTable | None]:
        """Return the photos of a split, and their lists if the columns of those are given."""
        key = self.tables.get(split, Path()), self._source(split), columns is not None
        if key not in self._kept:
            table = self._table(split, columns or ())
            photos = self._read_photos(split, table)
            cells = None if columns is None else self.read_candidates(split, table)
            rows = table.usable(self.on_bad_rows, self.skipped_rows(split))
            photos, lists = photos.take(rows), None
            if cells is not None:
                taken = [column.take(pa.array(rows)) for column in cells]
                candidates, negatives = map(named_column, taken) if self.names_candidates else taken
                lists = self._lists_of(photos, candidates, negatives, table.path)
            self._kept[key] = photos, lists
        return self._kept[key]

    def check_retrieved(self, split: str, lists: CandidateTable) -> None:
        """Refuse lists about photos that the split has not, or has at other places; tell how many have no list."""
        if split not in self.tables:
            return  # one that is only tested on is trained with the lists of another
        photos = self.photos(split)
        assert isinstance(photos, TablePhotos)
        rows = pc.index_in(lists.columns["photo_id"], value_set=photos.ids)
        wrong = np.flatnonzero(rows.is_null().to_numpy(zero_copy_only=False))
        fault = "is not there"
        if not len(wrong) and photos.places is not None:
            told = np.stack([lists.columns[name].to_numpy(zero_copy_only=False) for name in LIMITS], 1)
            wrong = np.flatnonzero((np.abs(told - photos.places[rows.to_numpy()]) > _SAME_DEGREES).any(1))
            fault = "has another place"
        for row in wrong[:1]:
            where = f"{lists.origin}, row {row}: photo {lists.photo_ids[row]} {fault} in {self.tables[split]}"
            raise GeorankerError(f"{where}; retrieve again, or name the folder of this benchmark")
        self.tell_without_list(lists, len(photos))

    def _table(self, split: str, more_columns: Sequence[str] = ()) -> TableFile:
        if split not in self.tables:
            raise GeorankerError(f"{type(self).__name__} has no split {split!r}; it has {', '.join(self.tables)}")
        fields, options = self.fields(split), inspect.signature(type(self)).parameters
        named = {column: f"data.{field}_column" for field, column in fields.items() if f"{field}_column" in options}
        columns = list(dict.fromkeys([*fields.values(), *more_columns]))
        table = TableFile(self.tables[split], columns, [fields[field] for field in _names(fields)], named)
        known = self.known_rows.get(split, len(table))
        if len(table) != known and table.path not in self._counted:
            benchmarks = (each for each in classes("georanker.data") if issubclass(each, GeoTable))
            others = [each.__name__ for each in benchmarks if each.known_rows.get(split) == len(table)]
            hint = f"; so many has {others[0]}" if others else ""
            tell(f"{table.path}: has {len(table):,} rows, {split} of {type(self).__name__} has {known:,}{hint}")
        self._counted.add(table.path)
        return table

    def _read_photos(self, split: str, table: TableFile) -> TablePhotos:
        fields = self.fields(split)
        places = None
        if "latitude" in fields:
            self._check_order(table, fields)
            places = np.stack([table.degrees(fields[field], limit) for field, limit in LIMITS.items()], 1)
        names = {field: table.texts(fields[field]) for field in _names(fields)}
        return TablePhotos(table.ids(fields["id"]), places, names, self._source(split))

    def _source(self, split: str) -> PhotoSource | None:
        return self.gallery_source if split == "gallery" else self.photo_source

    def _check_order(self, table: TableFile, fields: Mapping[str, str]) -> None:
        """Raise if the two are swapped: many latitudes are beyond 90 degrees, and no longitude is."""
        latitudes, longitudes = (table.numbers(fields[field]) for field in LIMITS)
        beyond = swapped(latitudes, longitudes)
        if beyond:
            latitude, longitude = (fields[field] for field in LIMITS)
            raise GeorankerError(
                f"{table.path}: columns {latitude} and {longitude} are swapped: {beyond:,} of {len(table):,} "
                f"values in {latitude} are beyond 90 degrees, and none in {longitude}; take a corrected copy, or set "
                f"data.latitude_column={longitude} and data.longitude_column={latitude}"
            )

    def _lists_of(self, photos: TablePhotos, candidates: pa.Array, negatives: pa.Array, path: Path) -> CandidateTable:
        places = np.full((len(photos), 2), np.nan) if photos.places is None else photos.places
        latitudes, longitudes = (pa.array(places[:, at], from_pandas=True) for at in (0, 1))
        found = {
            "photo_id": photos.ids,
            "latitude": latitudes,
            "longitude": longitudes,
            "embedding": pa.nulls(len(photos), SCHEMA.field("embedding").type),
            "candidates": candidates,
            "negatives": negatives,
        }
        return CandidateTable(pa.table(found, SCHEMA), str(path), self.photo_source, self.gallery_source)


def _names(fields: Mapping[str, str]) -> list[str]:
    return [field for field in fields if field not in ("id", *LIMITS)]


def _paths(benchmark: type) -> list[str]:
    """Return the names of all arguments that are paths or the collator, of a benchmark and of what it builds on."""
    hints = {
        name: hint
        for each in benchmark.__mro__
        if "__init__" in vars(each) and issubclass(each, GeoDataModule)
        for name, hint in get_type_hints(each.__init__).items()
    }
    return ["collator", *(name for name, hint in hints.items() if hint in (Path, Path | None))]
