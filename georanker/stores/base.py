"""The contract of photo stores: an id goes in, the bytes of a photo come out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from georanker.types import GeorankerError, Photo

if TYPE_CHECKING:
    from PIL import Image

MAX_PHOTO_BYTES = 1 << 28
"""256 MiB: what is larger is no photo but a mistake, or a bomb that would fill the memory of a loader's worker."""


class PhotoStore(ABC):
    """The photos of a place on disk, each known by its id.

    An id is the name of a photo below the store, with `/` between folders: `ab/cd/1234.jpg`. Tables often write ids in
    another way. So where no photo has the very name of an id, these spellings, also several at once, find it:

    - without the suffix of a photo: `ab/cd/1234`
    - with `_` for `/`, or the other way round: `ab_cd_1234.jpg`
    - without the first folders: `1234.jpg`
    - with `./` or `//`, as file systems allow: `./ab//cd/1234.jpg`

    If a spelling fits two photos, it is an error that names both.

    Loader workers may be forked or spawned: open files are not pickled, and each process opens its own.
    """

    @abstractmethod
    def read(self, photo_id: str) -> bytes:
        """Return the encoded image of a photo.

        Raises:
            GeorankerError: there is no such photo, its id fits two, or its bytes cannot be read.
        """

    @abstractmethod
    def __contains__(self, photo_id: object) -> bool:
        """Return whether an id, in any spelling, is that of one photo."""

    @abstractmethod
    def ids(self) -> Sequence[str]:
        """Return the names of all files that have the suffix of a photo and are not hidden."""

    def __len__(self) -> int:
        return len(self.ids())

    def decode(self, photo_id: str) -> Image.Image:
        """Read a photo and decode it as `Photo.load` does: RGB, upright, 8 bits a channel.

        Raises:
            GeorankerError: it cannot be read, or is not an image.
        """
        return Photo(photo_id, source=self).load()


def check_size(name: str, size: int) -> None:
    """Raise GeorankerError if a file is too large for a photo."""
    if size > MAX_PHOTO_BYTES:
        raise GeorankerError(f"{name}: {size:,} bytes are no photo; at most {MAX_PHOTO_BYTES:,} are read")
