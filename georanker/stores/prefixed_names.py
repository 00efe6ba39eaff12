"""Photos whose files are named more than their ids."""

from __future__ import annotations

from collections.abc import Sequence

from georanker.stores.base import PhotoStore
from georanker.types import GeorankerError


class PrefixedNames(PhotoStore):
    """Also finds a photo whose file has something and `_` before its id, such as `Rome_00024_231521295.jpg`.

    Args:
        store: holds few photos, since all their names are looked through for each id that it does not know.
    """

    def __init__(self, store: PhotoStore) -> None:
        self.store = store

    def read(self, photo_id: str) -> bytes:
        """Return the encoded image of a photo.

        Raises:
            GeorankerError: there is no such photo, its id fits two, or its bytes cannot be read.
        """
        found = self._found(photo_id)
        if len(found) > 1:
            raise GeorankerError(
                f"photo {photo_id!r}: may be {found[0]} and {found[1]}; write the whole name as its id"
            )
        return self.store.read(found[0] if found else photo_id)

    def __contains__(self, photo_id: object) -> bool:
        return isinstance(photo_id, str) and (photo_id in self.store or len(self._found(photo_id)) == 1)

    def ids(self) -> Sequence[str]:
        """Return the names of all photos."""
        return self.store.ids()

    def _found(self, photo_id: str) -> list[str]:
        """Return the names that end with an id which the store itself does not know."""
        known = not photo_id or photo_id in self.store
        return [] if known else [name for name in self.store.ids() if name.endswith(f"_{photo_id}")]
