"""What people hand over as photos: files, folders, globs, bytes, images and arrays."""

from __future__ import annotations

import glob
import io
import logging
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from georanker.exif import gps
from georanker.types import GeorankerError, Photo

if TYPE_CHECKING:
    from PIL import Image

PhotoLike: TypeAlias = "str | Path | bytes | Image.Image | np.ndarray | Photo"
"""A file, a folder, a glob, an encoded image, an image of Pillow, an array, or a Photo.

Arrays are uint8: (H, W) or (H, W, 1) grey, (H, W, 3) RGB, or (H, W, 4) RGBA.
"""

_CHANNELS = ((), (1,), (3,), (4,))
_CAMERAS_OWN = {".heic", ".heif", ".dng", ".arw", ".cr2", ".cr3", ".nef", ".orf", ".raf", ".rw2"}
"""Photos that Pillow alone does not read: a folder of them must not look empty."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_one(given: PhotoLike | Sequence[PhotoLike]) -> bool:
    """Return whether this is one photo, and neither a list nor a folder or glob, of which there may be several."""
    if isinstance(given, str | Path):
        return given == "" or not (os.path.isdir(given) or _is_glob(given))
    return isinstance(given, bytes | np.ndarray | Photo) or not isinstance(given, Sequence)


def photos_of(given: PhotoLike | Sequence[PhotoLike]) -> list[Photo]:
    """Return the photos that are meant; files are not read yet.

    A file that folders and globs bring twice is taken once, and names that the system hides are left out.

    Raises:
        GeorankerError: a URL, a glob without a match, a folder without photos, an array of another shape or kind, or
            something that is no photo at all.
    """
    items: Sequence[PhotoLike] = given if not is_one(given) and isinstance(given, list | tuple) else [given]  # type: ignore[list-item]
    photos: list[Photo] = []
    gathered: set[Path] = set()
    for item in items:
        if isinstance(item, str) and not item:
            raise GeorankerError("the name of a photo is empty")
        if isinstance(item, str | Path) and not is_one(item):
            for file in _files(item):
                if file.resolve() not in gathered:
                    gathered.add(file.resolve())
                    photos.append(Photo(_shown(file), source=_File(file)))
        else:
            photos.append(_photo(item, f"#{len(photos) + 1}"))
    return photos


def once(photos: Sequence[Photo]) -> list[Photo]:
    """Return the photos without those of a file that came before."""
    found: dict[object, Photo] = {}
    for photo in photos:
        found.setdefault(photo.source.path.resolve() if isinstance(photo.source, _File) else id(photo), photo)
    return list(found.values())


@dataclass(frozen=True)
class _File:
    """A photo in a file, which is read when it is asked for."""

    path: Path

    def read(self, photo_id: str) -> bytes:
        """Return the bytes of the file."""
        try:
            return self.path.read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a name with a null byte
            reason = getattr(error, "strerror", None) or error
            raise GeorankerError(f"photo {photo_id}: cannot be read ({reason})") from error


@dataclass(frozen=True)
class _Bytes:
    """A photo in memory."""

    data: bytes

    def read(self, photo_id: str) -> bytes:
        """Return the bytes."""
        return self.data


def _photo(item: object, name: str) -> Photo:
    from PIL import Image

    if isinstance(item, Photo):
        return item
    if isinstance(item, str | Path):
        if _URL.match(str(item)):
            raise GeorankerError(f"{item}: a URL, and nothing is fetched here; download the photo and name its file")
        return Photo(_shown(item), source=_File(Path(item)))
    if isinstance(item, bytes):
        return Photo(name, source=_Bytes(item))
    if isinstance(item, np.ndarray):
        if item.dtype != np.uint8 or item.ndim not in (2, 3) or item.shape[2:] not in _CHANNELS or not item.size:
            raise GeorankerError(
                f"photo {name}: an array must be uint8 and (H, W, 3) RGB, (H, W, 4) RGBA, or (H, W) grey, not "
                f"{item.shape} {item.dtype}"
            )
        item = Image.fromarray(item[..., 0] if item.shape[2:] == (1,) else item)
    if isinstance(item, Image.Image):
        return Photo(name, gps(item), _Bytes(_encoded(item, name)))
    raise GeorankerError(
        f"photo {name}: a {type(item).__name__} is no photo; give a path, bytes, a PIL image or an array"
    )


def _encoded(image: Image.Image, name: str) -> bytes:
    """Return an upright copy without loss, in a format that has most of Pillow's modes."""
    from PIL import ImageOps

    encoded = io.BytesIO()
    try:
        image = ImageOps.exif_transpose(image)
        if image.mode == "La":
            image = image.convert("LA")  # the only mode that Pillow converts it to
        if image.has_transparency_data or image.mode in ("HSV", "PA"):
            image = image.convert("RGBA")
        image.save(encoded, "TIFF", compression="raw")  # and not as the file was that it came from
    except Exception as error:  # a decoder that meets a damaged file may raise anything
        raise GeorankerError(f"photo {name}: cannot be decoded ({error})") from error
    return encoded.getvalue()


def _shown(file: str | Path) -> str:
    """Return a name that can be written, also of a file whose name is not UTF-8 or would steer a terminal."""
    name = os.fsencode(file).decode("utf-8", "replace")
    unseen = {"Cc", "Cf", "Zl", "Zp"}
    return "".join(repr(letter)[1:-1] if unicodedata.category(letter) in unseen else letter for letter in name)


def _is_glob(path: str | Path) -> bool:
    return glob.has_magic(str(path)) and not os.path.lexists(path) and not _URL.match(str(path))


def _files(path: str | Path) -> list[Path]:
    """Return the photos in a folder and the folders in it, or those that a glob matches, in order."""
    if not _is_glob(path):
        found = sorted(_photos_below(Path(path)))
        if not found:
            raise GeorankerError(f"folder {_shown(path)}: there are no photos in it")
        return found
    matches = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]
    if not matches:
        raise GeorankerError(f"{_shown(path)}: no file matches")
    files = [match for match in matches if match.is_file() or not match.exists()]  # a pipe would block for ever
    folders = [file for match in matches if match.is_dir() for file in _photos_below(match)]
    return sorted([*files, *folders])


def _photos_below(folder: Path) -> Iterator[Path]:
    readable, unread = _readable(), []
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            ending = Path(name).suffix.lower()
            if name.startswith(".") or ending not in readable | _CAMERAS_OWN or not (Path(root) / name).is_file():
                continue
            if ending in readable:
                yield Path(root) / name
            else:
                unread.append(Path(root) / name)
    if unread:
        logging.getLogger("georanker").warning(
            "folder %s: %s left out, whose format is not read here, %s for one; save them as JPEG",
            _shown(folder),
            f"{len(unread):,} photo{'s are' if len(unread) > 1 else ' is'}",
            _shown(min(unread)),
        )


def _readable() -> set[str]:
    """Return the endings of the formats that Pillow decodes by itself: not films, nor what it only recognises."""
    from PIL import Image, ImageFile

    endings = Image.registered_extensions()  # which loads the formats
    stubs = {kind for kind, (opener, _) in Image.OPEN.items() if opener in ImageFile.StubImageFile.__subclasses__()}
    no_photos = {"EPS", "MPEG", *stubs}
    return {ending for ending, kind in endings.items() if kind in Image.OPEN.keys() - no_photos}
