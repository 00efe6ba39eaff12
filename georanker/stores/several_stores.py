"""Photos that lie in several places."""

from __future__ import annotations

from collections.abc import Sequence

from georanker.stores.base import PhotoStore
from georanker.types import GeorankerError


class SeveralStores(PhotoStore):
    """Photos of which some lie here and some there, such as those of a benchmark that is unpacked in part.

    Args:
        stores: the first of them that knows an id gives its photo.
    """

    def __init__(self, stores: Sequence[PhotoStore]) -> None:
        if not stores:
            raise GeorankerError("several stores must be at least one")
        self.stores = tuple(stores)

    def read(self, photo_id: str) -> bytes:
        """Return the encoded image of a photo.

        Raises:
            GeorankerError: no store has such a photo, its id fits two, or its bytes cannot be read.
        """
        for store in self.stores:
            if photo_id in store:
                return store.read(photo_id)
        faults = []
        for store in self.stores:
            try:
                return store.read(photo_id)
            except GeorankerError as error:
                faults.append(str(error).removeprefix(f"photo {photo_id!r}: "))
        raise GeorankerError(f"photo {photo_id!r}: {'; '.join(faults)}")

    def __contains__(self, photo_id: object) -> bool:
        return any(photo_id in store for store in self.stores)

    def ids(self) -> Sequence[str]:
        """Return the names of all photos, store by store; a name that two stores have is there once."""
        return list(dict.fromkeys(name for store in self.stores for name in store.ids()))
