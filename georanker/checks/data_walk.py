"""Walks through a benchmark, split by split, and opens what checks look at."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from georanker.candidate_table import SCHEMA, CandidateTable
from georanker.checks.base import Finding, Lists, Look, Split, found
from georanker.checks.photo_looks import PhotoLooks
from georanker.data.base import SPLITS, GeoDataModule
from georanker.data.table_photos import TablePhotos
from georanker.data.unusable_rows import UnusableRows
from georanker.types import GeorankerError, Photo, PhotoSource

_NO_SPLIT = "a split that no benchmark has"


class DataWalk:
    """Opens the splits of a benchmark; what cannot be opened is a finding, and the walk goes on.

    Args:
        data: the benchmark.
        photos: how many photos of each split are read, evenly spread; None for all.
    """

    def __init__(self, data: GeoDataModule, photos: int | None = None) -> None:
        if photos is not None and photos < 0:
            raise GeorankerError(f"photos is {photos}: give how many photos of each split to read, 0 or more")
        self.data = data
        self.sample = photos
        self.findings: list[Finding] = []
        """What could not be opened."""
        self._seen: dict[int, tuple[PhotoSource, dict[str, Look]]] = {}
        """What reading photos gave, by the id of their source, which is kept, so that no other gets its id.

        Splits may share photos, and candidates are those of a gallery.
        """

    def splits(self, names: Sequence[str] | None = None) -> list[Split]:
        """Open splits, and read their photos and those of their candidates.

        Args:
            names: those to look at; None for all that the benchmark has.

        Raises:
            GeorankerError: nothing can be opened; what the benchmark itself says of that.
        """
        if names is not None and not names:
            raise GeorankerError("splits is empty: name those to look at, or leave it out to look at all")
        opened = [split for name in names or SPLITS if (split := self._opened(name, names is not None)) is not None]
        if not opened and not self.findings:
            self.data.photos(SPLITS[-1])  # raises, and says why
        folder = self.data.candidates
        if folder is not None and not any((folder / f"{name}.parquet").exists() for name in SPLITS):
            fix = "make them with `georanker retrieve`, or leave data.candidates out"
            told = f"{folder} holds no train.parquet, val.parquet or test.parquet"
            self.findings += found("all", "folders of candidates without candidates", [told], fix)
        return [replace(split, candidate_looks=self._candidates(split)) for split in opened]

    def _opened(self, name: str, wanted: bool) -> Split | None:
        with _heard() as warnings:
            opened = self._photos_and_lists(name, wanted)
        fix = "rows and photos that are left out count as mistakes here; correct what is named"
        self.findings += found(name, "warnings when it was opened", warnings, fix)
        if opened is None:
            return None
        photos, lists = opened
        return Split(name, *_columns(photos), lists, self._looks(photos, f"photos of {name}"))

    def _photos_and_lists(self, name: str, wanted: bool) -> tuple[Sequence[Photo], Lists | None] | None:
        try:
            photos = self.data.photos(name)
        except UnusableRows as error:
            self._tell_rows(name, error)
            return self._photos_alone(name)
        except GeorankerError as error:
            if wanted or not self._is_absent(name, error):
                self.findings += found(name, "splits that cannot be opened", [error], _fix(error))
            return None
        return photos, self._lists(name)

    def _photos_alone(self, name: str) -> tuple[Sequence[Photo], None] | None:
        """Return the photos of a split whose candidates are at fault; None where its own rows are."""
        collator, self.data.collator = self.data.collator, PhotoLooks.of  # with it, no candidates are asked for
        try:
            return self.data.photos(name), None
        except UnusableRows:
            return None
        finally:
            self.data.collator = collator

    def _is_absent(self, name: str, error: GeorankerError) -> bool:
        """Return whether an error says what a benchmark says of any split that it does not have."""
        try:
            self.data.photos(_NO_SPLIT)
        except GeorankerError as usual:
            return str(usual).replace(_NO_SPLIT, name) == str(error)
        return False

    def _lists(self, name: str) -> Lists | None:
        file = None if self.data.candidates is None else self.data.candidates / f"{name}.parquet"
        if file is not None and not file.exists():
            return None
        try:
            table = self.data.own_lists(name) if file is None else self.data.lists(name)
        except UnusableRows as error:
            self._tell_rows(name, error)
            return None
        except GeorankerError as error:
            self.findings += found(name, "files of lists that cannot be used", [error], _fix(error))
            return None if file is None else self._unchecked(file)
        return None if table is None else Lists(table.columns, table.origin)

    def _unchecked(self, file: Path) -> Lists | None:
        """Open a candidates file whose rows are wrong, cut as ever, so that all of them can be told."""
        try:
            table = pq.read_table(file, columns=SCHEMA.names).cast(SCHEMA)
            table.validate(full=True)
        except (OSError, ValueError, pa.ArrowException):
            return None
        return Lists(self.data.cut(CandidateTable(table, str(file), checked=False)).columns, str(file))

    def _tell_rows(self, name: str, error: UnusableRows) -> None:
        """Add a finding for each column and reason; those of a shared table are told once."""
        fix = "correct them, or leave such rows out with data.on_bad_rows=skip; then the rest of the split is looked at"
        told = {(finding.what, *finding.rows) for finding in self.findings}
        for fault in error.faults:
            what = f"rows whose {fault.column} {fault.kind}" if fault.column else f"rows, each of which {fault.kind}"
            if (what, *fault.rows) not in told:
                self.findings.append(Finding(name, what, fault.count, fault.rows, fix))

    def _candidates(self, split: Split) -> Mapping[str, Look]:
        """Return what reading the candidates' photos gave."""
        source = self.data.gallery_source
        if split.lists is None or source is None:
            return {}
        ids = pc.unique(split.lists.candidate_ids.drop_null()).to_pylist()
        return self._looks([Photo(id_, None, source) for id_ in ids], f"candidates' photos of {split.name}")

    def _looks(self, photos: Sequence[Photo], what: str) -> dict[str, Look]:
        from rich.console import Console
        from rich.progress import track

        source = photos[0].source if len(photos) else None
        if source is None:
            return {}
        chosen = photos
        if self.sample is not None and self.sample < len(photos):
            chosen = [photos[at] for at in np.linspace(0, len(photos) - 1, self.sample).astype(int)]
        _, seen = self._seen.setdefault(id(source), (source, {}))
        unread = [photo for photo in chosen if photo.id not in seen] if seen else chosen
        batches = self.data.loader(unread, PhotoLooks.of) if len(unread) else ()
        told, console = f"Reading {len(unread):,} {what}", Console(stderr=True)
        for batch in track(batches, told, console=console, transient=True, disable=not console.is_terminal):
            seen |= dict(zip(batch.photo_ids, batch.looks, strict=True))
        looks = {photo.id: seen[photo.id] for photo in chosen}
        return looks | (_missing(photos, looks) if chosen is not photos else {})


def _columns(photos: Sequence[Photo]) -> tuple[pa.Array, np.ndarray, pa.Array]:
    """Return ids, places and countries; a table has them as columns already."""
    if isinstance(photos, TablePhotos):
        places = np.full((len(photos), 2), np.nan) if photos.places is None else photos.places
        return photos.ids, places, photos.names.get("country", pa.nulls(len(photos), pa.string()))
    ids, ends, countries = [], [], []
    for photo in photos:
        ids.append(photo.id)
        ends.append((photo.place.latitude, photo.place.longitude) if photo.place else (np.nan,) * 2)
        countries.append(photo.place.country if photo.place else "")
    return pa.array(ids, pa.string()), np.array(ends, np.float64).reshape(-1, 2), pa.array(countries, pa.string())


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Give a list that catches what georanker warns of in the block, instead of the terminal."""
    logger, warnings = logging.getLogger("georanker"), list[str]()
    handler, propagate = logging.Handler(logging.WARNING), logger.propagate
    handler.emit = lambda record: warnings.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield warnings
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _missing(photos: Sequence[Photo], looks: Mapping[str, Look]) -> dict[str, Look]:
    """Ask a source that knows what it holds for the photos that the sample left out."""
    source = photos[0].source
    if not isinstance(source, Container):
        return {}
    ids = (photo.id for photo in photos)
    return {id_: Look("is not there", missing=True) for id_ in ids if id_ not in looks and id_ not in source}


def _fix(error: GeorankerError) -> str:
    if "latitude" in str(error) and "outside" in str(error):
        return "correct or drop these rows; a latitude that would be a longitude is a sign of swapped columns"
    return "correct what it names, and check again"
