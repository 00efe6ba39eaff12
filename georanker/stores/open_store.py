"""Opens what holds photos, whatever it is."""

from __future__ import annotations

import zipfile
from pathlib import Path

from georanker.stores.base import PhotoStore
from georanker.stores.folder_store import FolderStore
from georanker.stores.tar_store import TarStore
from georanker.stores.zip_store import ZipStore
from georanker.types import GeorankerError

_TAR, _TAR_AT = b"ustar", 257
_ZIP = (b"PK\3\4", b"PK\5\6")  # how a zip archive begins, with members and without


def open_store(path: Path) -> PhotoStore:
    """Return the photos of a folder, of a tar archive or of a zip archive.

    Args:
        path: of any of these; an archive is known by its first bytes, not by its name.

    Raises:
        GeorankerError: there is nothing, or it is neither.
    """
    path = Path(path)
    if path.is_dir():
        return FolderStore(path)
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for who writes to it
            raise GeorankerError(f"{path}: neither a file nor a folder; name a folder, a .tar or a .zip with photos")
        with path.open("rb") as file:
            head = file.read(_TAR_AT + len(_TAR))
    except OSError as error:
        raise GeorankerError(
            f"{path}: cannot be read ({error.strerror}); name a folder, a .tar or a .zip with photos"
        ) from error
    is_tar = head[_TAR_AT:] == _TAR  # whose last member may be a zip
    return ZipStore(path) if head[:4] in _ZIP or (not is_tar and zipfile.is_zipfile(path)) else TarStore(path)
