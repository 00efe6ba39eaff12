"""Photos that cannot be read are left out and written down."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from georanker.data.tables import tell
from georanker.files import file_beside
from georanker.types import Batch, GeorankerError, NothingReadError, Photo

_COLUMNS = ["photo", "reason"]
_ENOUGH = 20
"""So many photos that cannot be read, and none that can, are a mistake of the settings."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What was made of several photos."""

    batch: Batch | None
    faults: dict[str, str]
    """Why the others cannot be read, by their ids."""

    def pin_memory(self) -> _Read:
        return _Read(self.batch and self.batch.pin_memory(), self.faults)


class ReadablePhotos:
    """Makes batches of those photos that can be read: a collator in a loader's worker, and its other end in the loader.

    The report is a CSV file with photo and reason: all photos that could not be read when they were last tried, in this
    run or an earlier one.

    Args:
        collator: raises GeorankerError if one of its photos cannot be read.
        skip: False to stop at such a photo.
        report: the file to write.
        must_fill: whether a batch without any photo is an error, as in training, whose steps are counted beforehand.
    """

    def __init__(self, collator: Callable[[Any], Batch], skip: bool, report: Path, must_fill: bool) -> None:
        self.collator, self.skip, self.report, self.must_fill = collator, skip, report, must_fill

    def __call__(self, photos: Sequence[Photo]) -> _Read:
        """Collate those that can be read."""
        try:
            return _Read(self.collator(photos), {})
        except GeorankerError as error:
            if not self.skip:
                raise GeorankerError(f"{error}; leave such photos out with data.on_bad_rows=skip") from error
            faults = {photo.id: fault for photo in photos if (fault := self._fault(photo))}
            if not faults:
                raise
        readable = [photo for photo in photos if photo.id not in faults]
        return _Read(self.collator(readable) if readable else None, faults)

    def _fault(self, photo: Photo) -> str:
        try:
            self.collator([photo])
        except GeorankerError as error:
            return str(error)
        return ""

    def batches(self, read: Iterable[_Read]) -> Iterator[Batch]:
        """Yield what workers have read; at the end, also a sudden one, tell how many photos are left out.

        Raises:
            GeorankerError: a batch that must not be empty is.
            NothingReadError: not one photo could be read.
        """
        known = self._written()
        faults, lacking, any_read = dict(known), dict[str, str](), False
        try:
            for each in read:
                if each.faults and not lacking:
                    first = next(iter(each.faults.values()))
                    tell(f"{first}; such photos are left out, and written to {self.report}")
                lacking |= each.faults
                faults |= each.faults
                if each.batch is not None:
                    any_read = True
                    for photo_id in each.batch.photo_ids:
                        faults.pop(photo_id, None)
                    yield each.batch
                elif self.must_fill or (len(lacking) >= _ENOUGH and not any_read):
                    raise self._nothing(lacking)
            if lacking and not any_read:
                raise self._nothing(lacking)
        finally:
            if faults != known:
                self._write(faults)
            if len(lacking) > 1:
                tell(f"{len(lacking):,} photos could not be read and are left out; see {self.report}")

    @staticmethod
    def _nothing(lacking: dict[str, str]) -> NothingReadError:
        first = next(iter(lacking.values()))
        return NothingReadError(f"{first}; of {len(lacking):,} photos one after another none can be read")

    def _written(self) -> dict[str, str]:
        """Return what the report of an earlier run tells."""
        try:
            with self.report.open(encoding="utf-8", newline="") as file:
                header, *rows = csv.reader(file)
        except (OSError, ValueError, csv.Error):
            return {}
        return {row[0]: row[1] for row in rows if len(row) == len(_COLUMNS)} if header == _COLUMNS else {}

    def _write(self, faults: dict[str, str]) -> None:
        if not faults:
            self.report.unlink(missing_ok=True)
            return
        with file_beside(self.report) as part, part.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([_COLUMNS, *sorted(faults.items())])
