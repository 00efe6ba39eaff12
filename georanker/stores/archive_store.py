"""What tar and zip stores have in common: their index."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from georanker.stores.archive_file import ArchiveFile
from georanker.stores.archive_index import ArchiveIndex, Member
from georanker.stores.base import PhotoStore
from georanker.types import GeorankerError


class ArchiveStore(PhotoStore):
    """Photos in archives, read by position from one open file a process.

    Where the members lie is kept in an index, `<archive>.index.parquet` beside the archive (or in the user's cache if
    nothing can be written there), which is made when an archive is first opened and again when it has changed.

    Args:
        paths: an archive, or several that together hold the photos.

    Raises:
        GeorankerError: an archive is missing, cut short or of another format, or the index can be written nowhere.
    """

    more_columns: ClassVar[dict[str, pa.DataType]]
    """What the index holds of a member beside its name, offset and size."""

    def __init__(self, paths: Path | Sequence[Path]) -> None:
        self.paths = (Path(paths),) if isinstance(paths, str | Path) else tuple(map(Path, paths))
        if not self.paths:
            raise GeorankerError("a store needs at least one archive")
        self._files = [ArchiveFile(path) for path in self.paths]
        self._index: ArchiveIndex | None = None
        self.index()

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_index": None}  # a spawned worker reads it from its file

    def index(self) -> ArchiveIndex:
        """Return where the members lie."""
        if self._index is None:
            self._index = ArchiveIndex.of(self._files, self._members, self.more_columns)
        return self._index

    def read(self, photo_id: str) -> bytes:
        """Return the bytes of a member.

        Raises:
            GeorankerError: there is no such member, or an id fits two; the archive was cut short or changed while it
                was open; the member is encrypted, damaged or too large.
        """
        index = self.index()
        others = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        row = index.names.one(photo_id, f"{self.paths[0]}{others}", self._told)
        file = self._files[index.columns["archive"][row]]
        try:
            return self._read(file, f"{file.path}, member {index.names.text(row)}", row)
        finally:
            file.check()  # bytes of an archive that has changed are neither right nor damaged

    def __contains__(self, photo_id: object) -> bool:
        return isinstance(photo_id, str) and len(self.index().names.find(photo_id)) == 1

    def ids(self) -> Sequence[str]:
        """Return the names of all photos, in the order in which they lie in the archives."""
        return self.index().names.ids(self.index().photos)

    def __len__(self) -> int:
        return len(self.index().names.photos)

    @abstractmethod
    def _members(self, file: ArchiveFile) -> Iterator[Member]:
        """Yield name, offset, size, and more of each file in an archive."""

    @abstractmethod
    def _read(self, file: ArchiveFile, member: str, row: int) -> bytes:
        """Return the bytes of the member in a row of the index."""

    def _told(self, row: int) -> str:
        index = self.index()
        of = f" of {self.paths[index.columns['archive'][row]].name}" if len(self.paths) > 1 else ""
        return index.names.text(row) + of
