"""Your own photos in a folder."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from georanker.candidate_table import CandidateTable
from georanker.data.base import SPLITS, Collator, GeoDataModule
from georanker.data.tables import BadRows
from georanker.exif import read_gps
from georanker.stores.folder_store import FolderStore
from georanker.stores.names import split_suffix
from georanker.types import GeorankerError, Photo

_OTHER_SUFFIXES = {".heic", ".heif", ".avif", ".jfif", ".jpe", ".mpo"}
"""Of photos that cameras and telephones write, and that the store does not list."""


class PhotoFolder(GeoDataModule):
    """The photos of a folder and of the folders in it; where they were taken is read from their EXIF GPS.

    A folder in `root` that is named gallery, retriever_train, train, val or test is that split. Without any such
    folder all photos are the split test. A photo's id is its path below `root`; names that start with a dot are left
    out. A photo without GPS has an unknown place, which is enough to be located but not to train or to be part of a
    gallery. One whose GPS cannot be (no hemisphere, 91 degrees north, 0, 0) is unknown too, and a warning counts such
    photos: `georanker check-data` lists them. Truth from a table is the business of GeoTable.

    Args:
        root: the folder.
        on_bad_rows: "error" stops where a retriever cannot read a photo; "skip" leaves such photos out, and writes them
            to unreadable_photos.csv, beside the run or what a command writes; photos of unknown place are left out
            where one is needed.
        candidates: the folder with the candidates files; without it the loaders give photos.
        batch_size: photos or lists in a batch of one process.
        num_workers: processes that decode photos beside the training.
        seed: of the order of training; None for that of seed_everything.
        collator: makes a batch of photos or lists; it comes from the model.
    """

    def __init__(
        self,
        root: Path,
        on_bad_rows: BadRows = "error",
        candidates: Path | None = None,
        batch_size: int = 64,
        num_workers: int = 0,
        seed: int | None = None,
        collator: Collator | None = None,
    ) -> None:
        super().__init__(candidates, batch_size, num_workers, seed, collator)
        self.save_hyperparameters(ignore=["collator", "candidates", "root"])  # paths would have to be unpickled
        self.root, self.on_bad_rows = Path(root), on_bad_rows
        self.photo_source = self.gallery_source = self._store = FolderStore(self.root)
        self._photos: dict[str, list[Photo]] = {}

    @functools.cached_property
    def _ids(self) -> dict[str, Sequence[str]]:
        """The ids of each split."""
        ids = self._store.ids()
        for id_ in ids:
            if any("\udc80" <= letter <= "\udcff" for letter in id_):
                raise GeorankerError(f"{self.root}: the name {id_!r} is not UTF-8; rename it")
        self._tell_of_others()
        if not ids:
            raise GeorankerError(f"{self.root}: holds no photo; their names end in .jpg, .png, .webp or the like")
        below = {split: [id_ for id_ in ids if id_.startswith(f"{split}/")] for split in SPLITS}
        splits: dict[str, Sequence[str]] = {split: found for split, found in below.items() if found}
        if not splits:
            return {"test": ids}
        outside = sorted(set(ids).difference(*splits.values()))
        if outside:
            logging.getLogger("georanker").warning(
                "%s: %s photos lie outside of the folders %s and belong to no split; the first is %s",
                *(self.root, f"{len(outside):,}", ", ".join(splits), outside[0]),
            )
        return splits

    def _tell_of_others(self) -> None:
        root, others, led = os.path.join(os.path.realpath(self.root), ""), list[str](), list[str]()
        for folder, folders, files in os.walk(self.root):
            for path in (Path(folder, name) for name in (*folders, *files)):
                if path.suffix.lower() in _OTHER_SUFFIXES:
                    others.append(path.name)
                if not path.is_symlink():
                    continue
                is_photo = split_suffix(os.fsencode(path.name))[1] and not os.path.realpath(path).startswith(root)
                if is_photo or path.is_dir():
                    led.append(str(path))
        logger = logging.getLogger("georanker")
        if others:
            told = "%s: %s photos are left out, the first is %s; convert them to JPEG or PNG"
            logger.warning(told, self.root, f"{len(others):,}", min(others))
        if led:
            told = "%s: %s links to folders or out of it are not followed, the first is %s; copy what they lead to"
            logger.warning(told, self.root, f"{len(led):,}", min(led))

    def photos(self, split: str) -> Sequence[Photo]:
        """Return the photos of a split, in the order of their names; their EXIF is read once."""
        if split not in self._ids:
            raise GeorankerError(f"{self.root} has no split {split!r}; it has {', '.join(self._ids)}")
        if split not in self._photos:
            self._photos[split] = self._with_places(self._ids[split])
        return self._photos[split]

    def check_retrieved(self, split: str, lists: CandidateTable) -> None:
        """Tell how many photos have no list; their EXIF is not read for that."""
        self.tell_without_list(lists, len(self._ids.get(split, ())))

    def _with_places(self, ids: Sequence[str]) -> list[Photo]:
        from rich.console import Console
        from rich.progress import track

        photos, faults = [], []
        told, console = f"Reading the EXIF of {len(ids):,} photos", Console(stderr=True)
        for id_ in track(ids, told, console=console, transient=True, disable=not console.is_terminal):
            place = None
            try:
                place = read_gps(self.root / id_)
            except GeorankerError as error:
                faults.append(f"{id_}: {error}")
            photos.append(Photo(id_, place, self._store))
        if faults:
            logging.getLogger("georanker").warning(
                "%s: the place of %s of %s photos is taken as unknown, the first is %s",
                *(self.root, f"{len(faults):,}", f"{len(ids):,}", faults[0]),
            )
        return photos
