"""Photos that cannot be read are left out and written down."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from georanker.data.tables import tell
from georanker.files import file_beside
from georanker.types import Batch, GeorankerError, NothingReadError, Photo

_COLUMNS = ["photo", "reason"]


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

    The report is a CSV file with photo and reason: all photos that could not be read when they were last tried, by this
    process or another, in this run or an earlier one.

    Args:
        collator: raises GeorankerError if one of its photos cannot be read.
        skip: False to stop at such a photo.
        report: the file to write.
        steps: whether a batch without any photo is an error, as in training, whose steps are counted beforehand.
        part: whether the photos are part of a job, so that it says nothing if none of them can be read.
    """

    def __init__(
        self, collator: Callable[[Any], Batch], skip: bool, report: Path, steps: bool = False, part: bool = False
    ) -> None:
        self.collator, self.skip, self.report, self.steps, self.part = collator, skip, report, steps, part
        self._told = 0  # photos that are left out

    def __call__(self, photos: Sequence[Photo]) -> _Read:
        """Collate those that can be read."""
        faults: dict[str, str] = {}
        if self.skip:  # what is not there costs little to find, and else the whole batch would be read again
            lost = (photo for photo in photos if isinstance(photo.source, Container) and photo.id not in photo.source)
            faults = {photo.id: fault for photo in lost if (fault := self._fault(photo))}
        try:
            return self._read(photos, faults)
        except GeorankerError as error:
            faults = {photo.id: fault for photo in photos if (fault := faults.get(photo.id) or self._fault(photo))}
            if not faults or not (self.skip or len(faults) < len(photos)):
                raise
            if not self.skip:
                first = next(iter(faults.values()))
                raise GeorankerError(f"{first}; leave such photos out with data.on_bad_rows=skip") from error
        return self._read(photos, faults)

    def _read(self, photos: Sequence[Photo], faults: dict[str, str]) -> _Read:
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
            GeorankerError: a step of training has no photo.
            NothingReadError: not one photo could be read.
        """
        earlier, faults, mended, any_read = self._written(), dict[str, str](), set[str](), False
        try:
            for each in read:
                if each.faults and not faults and not self._told:
                    tell(f"{next(iter(each.faults.values()))}; such photos are left out, and written to {self.report}")
                faults |= each.faults
                if each.batch is not None:
                    any_read = True
                    mended |= earlier.keys() & set(each.batch.photo_ids) if earlier else set()
                    yield each.batch
                elif self.steps:
                    first = next(iter(each.faults.values()))
                    fix = "set a larger data.batch_size, or drop their rows"
                    raise GeorankerError(f"{first}; not one photo of a step of training can be read: {fix}")
            if faults and not any_read and not self.part:
                first = next(iter(faults.values()))
                raise NothingReadError(f"{first}; not one of {len(faults):,} photos can be read")
        finally:
            if faults or mended:
                self._add(faults, mended)
            if len(faults) > max(1, self._told):
                tell(f"{len(faults):,} photos could not be read and are left out; see {self.report}")
            self._told = max(self._told, len(faults))

    def _add(self, faults: dict[str, str], mended: set[str]) -> None:
        try:
            with self._alone():
                known = self._written() | faults
                self._write({id_: fault for id_, fault in known.items() if id_ not in mended})
        except (GeorankerError, OSError) as error:  # the work itself is done
            tell(f"{self.report}: does not tell which photos could not be read ({error})")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes out of the block, which adds to what they have written."""
        self.report.parent.mkdir(parents=True, exist_ok=True)
        folder = None
        with suppress(ImportError, OSError):  # a system, or a disk, without such locks
            import fcntl

            folder = os.open(self.report.parent, os.O_RDONLY)
            fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if folder is not None:
                os.close(folder)

    def _written(self) -> dict[str, str]:
        """Return what the report tells."""
        try:
            with self.report.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
                header, *rows = csv.reader(file)
        except (OSError, ValueError, csv.Error):
            return {}
        return {row[0]: row[1] for row in rows if len(row) == len(_COLUMNS)} if header == _COLUMNS else {}

    def _write(self, faults: dict[str, str]) -> None:
        if not faults:
            self.report.unlink(missing_ok=True)
            return
        rows = [_COLUMNS, *sorted(faults.items())]
        with (
            file_beside(self.report) as part,
            part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            csv.writer(file).writerows(rows)
