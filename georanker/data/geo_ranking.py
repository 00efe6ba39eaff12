"""The training lists of the paper."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from georanker.candidate_table import CandidateTable
from georanker.data.base import Collator, GeoDataModule
from georanker.data.table_photos import TablePhotos
from georanker.data.tables import BadRows
from georanker.georanking import read_georanking
from georanker.stores.open_store import open_store
from georanker.types import GeorankerError, Photo

_SPLITS = ("train", "test", "val")


class GeoRanking(GeoDataModule):
    """The 100,000 training lists of the paper: GeoRanking.parquet, or what `georanker build-georanking` wrote.

    Each row has a photo of MP16-Pro and its 20 nearest photos there, nearest first. The file is made for training, and
    published figures are those of other benchmarks; its last rows are held out, for test and, at the end, for val.

    Traps: rank 0 is the photo itself wherever its id says so, also with `_` for `/` or without suffix, and then no
    candidate; where another photo stands there, it is the first candidate and has rank 1, while the paper's code passes
    rank 0 over unseen. A photo that stands in its own list at a later rank stays: `georanker check-data` tells of it.
    Names are whatever texts a row has, joined with spaces as in the paper's training.

    Source: arXiv 2505.13731; the file is linked from github.com/Applied-Machine-Learning-Lab/GeoRanker. Photos and
    places are those of MP16-Pro and of Flickr before that, under the licences of their authors; no licence of the file
    itself is known.

    Args:
        table: GeoRanking.parquet.
        photos: a folder, .tar or .zip with the photos, such as mp-16-images.tar; None where no model looks at any.
        gallery_photos: the same for the candidates' photos; None for `photos`.
        ranks: the first and the last rank of the candidates, from 1.
        negatives: so many of the last references of a row are named to the model as negatives.
        val_size: rows at the end of the file that are held out for val; None for one in a hundred.
        test_size: rows before them that are held out for test; None for one in a hundred.
        on_bad_rows: "error" stops at a row that cannot be used; "skip" leaves such rows out, before the splits are
            cut, and writes them down as GeoTable does, in skipped_rows.train.csv.
        candidates: the folder with candidates files that take the place of the file's lists, cut in the same way.
        batch_size: photos or lists in a batch of one process.
        num_workers: processes that decode photos beside the training.
        seed: of the order of training; None for that of seed_everything.
        collator: makes a batch of photos or lists; it comes from the model.
    """

    def __init__(
        self,
        table: Path,
        photos: Path | None = None,
        gallery_photos: Path | None = None,
        ranks: tuple[int, int] = (1, 7),
        negatives: int = 5,
        val_size: int | None = None,
        test_size: int | None = None,
        on_bad_rows: BadRows = "error",
        candidates: Path | None = None,
        batch_size: int = 64,
        num_workers: int = 0,
        seed: int | None = None,
        collator: Collator | None = None,
    ) -> None:
        super().__init__(candidates, batch_size, num_workers, seed, collator)
        if not 1 <= ranks[0] <= ranks[1]:
            raise ValueError(f"ranks must be a first and a last rank from 1 on, not {ranks[0]} and {ranks[1]}")
        if negatives < 0:
            raise ValueError(f"negatives must be at least 0, not {negatives}")
        for split, size in (("val", val_size), ("test", test_size)):
            if size is not None and size < 0:
                raise ValueError(f"{split}_size must be at least 0, not {size}")
        paths = ["table", "photos", "gallery_photos"]  # they would have to be unpickled
        self.save_hyperparameters(ignore=["collator", "candidates", *paths])
        self.table, self.ranks, self.negatives = Path(table), ranks, negatives
        self.held_out = test_size, val_size
        self.on_bad_rows: BadRows = on_bad_rows
        self.photo_source = open_store(Path(photos)) if photos else None
        self.gallery_source = open_store(Path(gallery_photos)) if gallery_photos else self.photo_source

    def photos(self, split: str) -> Sequence[Photo]:
        """Return the photos of a split."""
        rows = self._rows(split)
        places = np.stack([rows[name].to_numpy() for name in ("latitude", "longitude")], 1)
        return TablePhotos(rows["photo_id"].combine_chunks(), places, {}, self.photo_source)

    def own_lists(self, split: str) -> CandidateTable:
        """Return the lists of a split."""
        return CandidateTable(self._rows(split), str(self.table), self.photo_source, self.gallery_source)

    def uncut_lists(self, split: str) -> CandidateTable:
        """Return the lists of a split from rank 1 on."""
        rows = self._rows(split, (1, self.ranks[1]))
        return CandidateTable(rows, str(self.table), self.photo_source, self.gallery_source)

    def check_retrieved(self, split: str, lists: CandidateTable) -> None:
        """Tell how many rows of a split have no list."""
        self.tell_without_list(lists, len(self._rows(split)))

    def cut(self, lists: CandidateTable) -> CandidateTable:
        """Return the same ranks and as many negatives of a candidates file, whose first candidate has rank 1."""
        first, last = self.ranks
        return lists.part(first - 1, last - first + 1, None, self.negatives)

    def _rows(self, split: str, ranks: tuple[int, int] | None = None) -> pa.Table:
        if split not in _SPLITS:  # before the file is read, whose faults would be told as those of a split it lacks
            raise GeorankerError(f"GeoRanking has no split {split!r}; it has {', '.join(_SPLITS)}")
        whole = self._all if ranks is None else self._read(ranks)
        rows = len(whole)
        test, val = (max(1, rows // 100) if size is None else size for size in self.held_out)
        spans = {"train": (0, rows - test - val), "test": (rows - test - val, test), "val": (rows - val, val)}
        if test + val >= rows:
            raise GeorankerError(
                f"{self.table}: has {rows:,} rows, so val_size {val:,} and test_size {test:,} leave none for train"
            )
        return whole.slice(*spans[split])

    @functools.cached_property
    def _all(self) -> pa.Table:
        return self._read(self.ranks)

    def _read(self, ranks: tuple[int, int]) -> pa.Table:
        return read_georanking(self.table, ranks, self.negatives, self.on_bad_rows, self.skipped_rows("train"))
