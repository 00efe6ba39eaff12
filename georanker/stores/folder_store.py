"""Photos in a folder."""

from __future__ import annotations

import functools
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from georanker.stores.base import PhotoStore, check_size
from georanker.stores.names import Names, spelling_key
from georanker.types import GeorankerError


class FolderStore(PhotoStore):
    """Photos below a folder, at any depth.

    Nothing outside the folder is ever read, whatever an id or a link says. The folder is listed once, when ids are
    asked for or an id is not the very name of a file; files that come later are found by their very names.

    Args:
        root: the folder.

    Raises:
        GeorankerError: it is not a folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise GeorankerError(f"folder {root}: not there, or not a folder")

    def read(self, photo_id: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            GeorankerError: the id leads out of the folder, no file fits it or two do, or the file cannot be read, is no
                plain file or is too large.
        """
        path = self._path(photo_id)
        if path is None:
            names = self._names
            path = self._path(names.text(names.one(photo_id, f"folder {self.root}", names.text)))
        try:
            if path is None:
                raise FileNotFoundError(None, "gone since the folder was listed")
            check_size(f"photo {photo_id!r}: {path}", path.stat().st_size)
            return path.read_bytes()
        except OSError as error:
            raise GeorankerError(f"photo {photo_id!r}: cannot be read in {self.root} ({error.strerror})") from error

    def __contains__(self, photo_id: object) -> bool:
        if not isinstance(photo_id, str):
            return False
        try:
            return self._path(photo_id) is not None or len(self._names.find(photo_id)) == 1
        except GeorankerError:
            return False

    def ids(self) -> Sequence[str]:
        """Return the names of all photos, sorted."""
        names = self._names
        return names.ids(np.array(sorted(names.photos, key=names.text), np.int64))

    def __len__(self) -> int:
        return len(self._names.photos)

    @functools.cached_property
    def _names(self) -> Names:
        try:
            found = sorted(map(os.fsencode, self._files(self.root, "")), key=spelling_key)
        except OSError as error:
            raise GeorankerError(f"folder {error.filename}: cannot be listed ({error.strerror})") from error
        return Names(pa.array(found, pa.large_binary()))

    @functools.cached_property
    def _real_root(self) -> str:
        return os.path.join(os.path.realpath(self.root), "")

    def _path(self, photo_id: str) -> Path | None:
        """Return the plain file of this very name, None if there is none.

        Raises:
            GeorankerError: the name leads out of the folder.
        """
        if "\0" in photo_id or os.path.isabs(photo_id):
            raise GeorankerError(f"photo {photo_id!r}: not a name below a folder; write it relative to {self.root}")
        if ".." in Path(photo_id).parts:
            raise GeorankerError(f"photo {photo_id!r}: leads out of {self.root}; write its name without `..`")
        path = self.root / photo_id
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                return None
        except (OSError, ValueError):  # not there, or not a name at all
            return None
        if not self._is_within(path):
            raise GeorankerError(
                f"photo {photo_id!r}: a link that leads out of {self.root}; name the folder where it leads as the root"
            )
        return path

    def _files(self, folder: Path, below: str) -> Iterator[str]:
        """Yield the names of plain files and of links to such files; linked folders are not entered."""
        with os.scandir(folder) as entries:
            for entry in entries:
                name = below + entry.name
                if entry.is_dir(follow_symlinks=False):
                    yield from self._files(Path(entry.path), f"{name}/")
                elif os.path.isfile(entry.path) and (not entry.is_symlink() or self._is_within(entry.path)):
                    yield name

    def _is_within(self, path: str | Path) -> bool:
        return os.path.realpath(path).startswith(self._real_root)
