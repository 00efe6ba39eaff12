"""The names of many files, found by any spelling, without a Python object for each."""

from __future__ import annotations

import bisect
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from georanker.types import GeorankerError

SUFFIXES = (b"jpg", b"jpeg", b"png", b"webp", b"gif", b"bmp", b"tif", b"tiff")
_PHOTO = rf"(?i)[^/]\.({'|'.join(suffix.decode() for suffix in SUFFIXES)})$"
_SUFFIX = rf"(?is)(.)\.({'|'.join(suffix.decode() for suffix in SUFFIXES)})$"
_HIDDEN = r"(^|/)\."


def split_suffix(name: bytes) -> tuple[bytes, bytes]:
    """Cut the suffix of a photo off a name, in small letters; of another suffix nothing is cut.

    >>> split_suffix(b"ab/1.JPG"), split_suffix(b"St. Moritz")
    ((b'ab/1', b'jpg'), (b'St. Moritz', b''))
    """
    stem, _, suffix = name.rpartition(b".")
    suffix = suffix.lower()
    return (stem, suffix) if stem and suffix in SUFFIXES else (name, b"")


def spelling_key(name: bytes) -> bytes:
    """Return what the spellings of a name have in common, last letter first.

    The key of a name without its first folders is then the beginning of the key of the whole name.

    >>> spelling_key(b"ab/cd/12.jpg"), spelling_key(b"cd_12"), spelling_key(b"./cd//12")
    (b'21_dc_ba', b'21_dc', b'21_dc')
    """
    return split_suffix(_plain(name))[0].replace(b"/", b"_")[::-1]


def spelled_alike(ids: pa.Array) -> pa.Array:
    """Return what `spelling_key` keeps of many ids, first letter first: equal where they may name one photo.

    >>> spelled_alike(pa.array(["ab/cd/12.jpg", "ab_cd_12", "./ab/./cd//12"])).to_pylist()
    ['ab_cd_12', 'ab_cd_12', 'ab_cd_12']
    """
    if any(pc.any(pc.match_substring(ids, passed_over)).as_py() for passed_over in ("//", "./")):
        ids = pc.replace_substring_regex(ids, r"(^|/)(\./|/)+", r"\1")
    return pc.replace_substring_regex(pc.replace_substring(ids, "/", "_"), _SUFFIX, r"\1")


def _plain(name: bytes) -> bytes:
    """Leave out what a file system passes over: `./`, and all but one of several `/`. `..` stays and finds nothing."""
    if b"//" not in name and b"./" not in name:
        return name
    first, *parts = name.split(b"/")
    kept = [part for part in parts if part not in (b"", b".")]
    return b"/".join(kept if first == b"." else [first, *kept])


class Names:
    """Names, sorted by their `spelling_key`, one a row.

    Args:
        names: (N,) in UTF-8; bytes that are not stand for themselves, as in file systems.
    """

    def __init__(self, names: pa.LargeBinaryArray) -> None:
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, row: int) -> bytes:
        name: bytes = self._names[row].as_py()
        return name

    @property
    def nbytes(self) -> int:
        """The memory that the names take."""
        size: int = self._names.nbytes
        return size

    def text(self, row: int) -> str:
        """Return the name of a row."""
        return self[row].decode("utf-8", "surrogateescape")

    @functools.cached_property
    def photos(self) -> np.ndarray:
        """The rows whose files have the suffix of a photo, and neither they nor a folder of theirs is hidden."""
        photo, hidden = (pc.match_substring_regex(self._names, pattern) for pattern in (_PHOTO, _HIDDEN))
        return np.flatnonzero(pc.and_not(photo, hidden).to_numpy(zero_copy_only=False))

    def find(self, photo_id: str) -> list[int]:
        """Return the rows that an id may mean: those of this very name, or else those that it is a spelling of.

        Two rows are enough to know that an id is ambiguous, so that no more are returned of spellings.
        """
        try:
            wanted = photo_id.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return []
        wanted = _plain(wanted)
        key, suffix = spelling_key(wanted), split_suffix(wanted)[1]
        if not key:
            return []
        first = self._first(key, 0)
        same = list(itertools.takewhile(lambda row: self._key(row) == key, range(first, len(self))))
        exact = [row for row in same if self[row] == wanted]
        if exact:
            return exact
        longer = key + b"_"
        start = self._first(longer, first)
        rows = itertools.takewhile(lambda row: self._key(row).startswith(longer), range(start, len(self)))
        below = (row for row in rows if split_suffix(self[row])[0][-len(longer) :][:1] == b"/")
        fits = (row for row in itertools.chain(same, below) if suffix in (b"", split_suffix(self[row])[1]))
        return list(itertools.islice(fits, 2))

    def one(self, photo_id: str, store: str, told: Callable[[int], str]) -> int:
        """Return the row of an id.

        Args:
            photo_id: in any spelling.
            store: names the store in errors.
            told: names the file of a row in errors.

        Raises:
            GeorankerError: no row fits, or two do.
        """
        found = self.find(photo_id)
        if len(found) == 1:
            return found[0]
        if found:
            both = " and ".join(told(row) for row in found[:2])
            same = self[found[0]] == self[found[1]]
            fix = "leave one of the archives out" if same else "write the whole name as its id"
            raise GeorankerError(f"photo {photo_id!r}: may be {both} of {store}; {fix}")
        photos = self.photos
        like = f"; its {len(photos):,} photos have names such as {told(photos[0])}" if len(photos) else ""
        raise GeorankerError(f"photo {photo_id!r}: not in {store}{like}")

    def ids(self, rows: np.ndarray) -> Sequence[str]:
        """Return some of the names as text, which is made when it is asked for."""
        return _Ids(self, rows)

    def _first(self, key: bytes, start: int) -> int:
        """Return the first row from `start` on whose key is not before `key`."""
        return bisect.bisect_left(range(len(self)), key, lo=start, key=self._key)

    def _key(self, row: int) -> bytes:
        return spelling_key(self[row])


class _Ids(Sequence[str]):
    def __init__(self, names: Names, rows: np.ndarray) -> None:
        self._names, self._rows = names, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, item: int) -> str: ...

    @overload
    def __getitem__(self, item: slice) -> list[str]: ...

    def __getitem__(self, item: int | slice) -> str | list[str]:
        """Return one name, or several."""
        if isinstance(item, slice):
            return [self._names.text(row) for row in self._rows[item].tolist()]
        return self._names.text(int(self._rows[item]))

    def __iter__(self) -> Iterator[str]:
        return map(self._names.text, map(int, self._rows))
