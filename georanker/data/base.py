"""The contract of benchmarks: where their photos are, and how they reach a model."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.loops.progress import _ProcessedTracker
from lightning.pytorch.plugins.precision import Precision
from torch.utils.data import DataLoader, Subset

from georanker.candidate_table import CandidateTable
from georanker.candidates import CandidatesFile
from georanker.data.epoch_sampler import EpochSampler
from georanker.data.placed import placed
from georanker.data.readable_photos import ReadablePhotos
from georanker.data.tables import BadRows, tell
from georanker.stores.base import PhotoStore
from georanker.stores.open_store import open_store
from georanker.types import Batch, CandidateList, GeorankerError, ListCollator, Photo, PhotoSource, RankingBatch

Collator = Callable[[Any], Batch]
SPLITS = ("gallery", "retriever_train", "train", "val", "test")


class GeoDataModule(L.LightningDataModule, ABC):
    """Photos of a benchmark, in the splits gallery, retriever_train, train, val and test.

    Its loaders give candidate lists, from candidates files or from the benchmark's own files, to a collator that reads
    lists, which is a ranker's, and photos to any other, which is a retriever's.

    Args:
        candidates: the folder with the candidates files train.parquet, val.parquet and test.parquet.
        batch_size: photos or lists in a batch of one process.
        num_workers: processes that decode photos beside the training.
        seed: of the order of training; None for that of seed_everything.
        collator: makes a batch of photos or lists; it comes from the model.
    """

    photo_source: PhotoSource | None = None
    """Holds the bytes of the photos that are asked about."""
    gallery_source: PhotoSource | None = None
    """Holds the bytes of the gallery's photos."""
    on_bad_rows: BadRows | None = None
    """What to do with rows that cannot be used, and with photos that a retriever cannot read; None without a choice."""
    beside: Path | None = None
    """The folder for files on what is left out; None for that of the trainer, or the working folder."""
    unanswered: Callable[[CandidateTable], Sequence[int]] | None = None
    """Chooses the rows that `predict` asks for; a callback that goes on with earlier answers sets it. None for all."""
    answered: int = 0
    """The lists that the loader of `predict` leaves out, since they were answered before."""
    left: int = 0
    """The lists, or photos, of that loader, in all processes together."""

    def __init__(
        self,
        candidates: Path | None = None,
        batch_size: int = 64,
        num_workers: int = 0,
        seed: int | None = None,
        collator: Collator | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        if num_workers < 0:
            raise ValueError(f"num_workers must be at least 0, not {num_workers}")
        if seed is not None and seed < 0:
            raise ValueError(f"seed must be at least 0, not {seed}")
        self.candidates = Path(candidates) if candidates is not None else None
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = int(os.environ.get("PL_GLOBAL_SEED", 0)) if seed is None else seed
        self.collator = collator

    @abstractmethod
    def photos(self, split: str) -> Sequence[Photo]:
        """Return the photos of a split; they are not read yet.

        Raises:
            GeorankerError: the benchmark has no such split.
        """

    def own_lists(self, split: str) -> CandidateTable | None:
        """Return the candidate lists that the benchmark's own files hold for a split; None if they hold none."""
        return None

    def opened(self, photos: Path) -> PhotoStore:
        """Return the store of the photos that are asked about, wherever they lie."""
        return open_store(photos)

    def uncut_lists(self, split: str) -> CandidateTable | None:
        """Return `own_lists` as `cut` takes them: with the candidates before the first that is wanted."""
        return self.own_lists(split)

    def check_retrieved(self, split: str, lists: CandidateTable) -> None:
        """Raise GeorankerError if a candidates file was retrieved for other photos than the split has."""

    @staticmethod
    def tell_without_list(lists: CandidateTable, photos: int) -> None:
        """Tell how many of a split's photos have no list in a candidates file, for `check_retrieved`."""
        if len(lists) < photos:
            left = photos - len(lists)
            tell(f"{lists.origin}: {left:,} of {photos:,} photos have no list; figures are of the others")

    def cut(self, lists: CandidateTable) -> CandidateTable:
        """Return what is taken of the lists of a candidates file; all, unless the benchmark has settings of its own."""
        return lists

    def retrieved(self, split: str) -> CandidatesFile | None:
        """Return the candidates file of a split, uncut; None if the data have no folder with such files."""
        if self.candidates is None:
            return None
        found = CandidatesFile(self.candidates / f"{split}.parquet", self.photo_source, self.gallery_source)
        self.check_retrieved(split, found)
        return found

    def lists(self, split: str) -> CandidateTable:
        """Return the candidate lists of a split, from its candidates file, or else from the benchmark's own files.

        Raises:
            GeorankerError: there are none.
        """
        found = self.retrieved(split)
        if found is not None:
            return self.cut(found)
        own = self.own_lists(split)
        if own is None:
            raise GeorankerError("data.candidates is not set: name the folder that `georanker retrieve` wrote")
        return own

    def skipped_rows(self, split: str) -> Path:
        """Return the file for the rows of a split that are skipped: beside the run, or what a command writes."""
        return self._beside_run(f"skipped_rows.{split}.csv")

    def _beside_run(self, name: str) -> Path:
        return (self.beside or Path(self.trainer.default_root_dir if self.trainer else ".")) / name

    def loader(
        self, items: Sequence[Photo] | Sequence[CandidateList], collator: Collator, shuffle: bool = False
    ) -> DataLoader[Any]:
        """Return a loader over photos or lists.

        Args:
            items: what to load.
            collator: makes a batch of several.
            shuffle: whether to mix them, for training; the last batch is then left out if it is not full.
        """
        trainer = self.trainer
        if trainer is not None and _converts_batches(trainer.precision_plugin):
            raise GeorankerError(
                f"trainer.precision {trainer.precision} converts every number of a batch, and places with them; take "
                "32-true, bf16-mixed or 16-mixed, or set the dtype of the backbone; with fsdp or deepspeed, see "
                "configs/trainer"
            )
        rank, processes = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        epoch_batches = len(items) // processes // self.batch_size
        if shuffle and not epoch_batches:
            raise GeorankerError(
                f"{len(items)} items for training do not fill one batch of {self.batch_size} in each of {processes} "
                "processes; set a smaller data.batch_size"
            )
        position = functools.partial(self._position, epoch_batches) if shuffle and trainer else None
        block = self.batch_size if isinstance(collator, _KeepLists) else 1  # answers are the same for any `processes`
        return _LazyLoader(
            items,  # type: ignore[arg-type]
            batch_size=self.batch_size,
            sampler=EpochSampler(len(items), shuffle, self.seed, block, rank, processes, position),
            num_workers=self.num_workers,
            collate_fn=collator,
            drop_last=shuffle,
            pin_memory=trainer is not None and trainer.strategy.root_device.type == "cuda",
            persistent_workers=self.num_workers > 0,
        )

    def photo_loader(
        self, photos: Sequence[Photo], collator: Collator, shuffle: bool = False, part: bool = False
    ) -> DataLoader[Any]:
        """Return a loader over photos, as `loader` does, whose batches lack those that cannot be read, if they may.

        Such photos are written to `unreadable_photos.csv`, beside the run, or what a command writes.

        Args:
            photos: what to load.
            collator: makes a batch of several.
            shuffle: whether to mix them, for training.
            part: whether they are part of a job, so that it is no error if none of them can be read.
        """
        if self.on_bad_rows is None:
            return self.loader(photos, collator, shuffle)
        report = self._beside_run("unreadable_photos.csv")
        part |= self.trainer is not None and self.trainer.world_size > 1
        readable = ReadablePhotos(collator, self.on_bad_rows == "skip", report, steps=shuffle, part=part)
        return self.loader(photos, readable, shuffle)  # type: ignore[arg-type]  # its other end is in _LazyLoader

    def _position(self, batches: int) -> tuple[int, int]:
        """Return the epoch that the trainer is about to read, and the items of it that were read before."""
        assert self.trainer is not None
        limit = self.trainer.limit_train_batches
        in_epoch = min(batches, limit) if isinstance(limit, int) else int(batches * (1.0 if limit is None else limit))
        progress = self.trainer.fit_loop.epoch_loop.batch_progress.total
        assert isinstance(progress, _ProcessedTracker)
        epoch, read = divmod(progress.processed, max(1, in_epoch))
        return epoch, read * self.batch_size

    def _given_collator(self) -> Collator:
        if self.collator is None:
            raise GeorankerError("data.collator is not set; the command line takes it from the model")
        return self.collator

    def _reads_lists(self) -> bool:
        return isinstance(self._given_collator(), ListCollator)

    def _items(self, split: str) -> Sequence[Photo] | CandidateTable:
        items = self.lists(split) if self._reads_lists() else self.photos(split)
        if split == "test" and not len(items):  # of which Lightning would only say that a length is zero
            raise GeorankerError("the split test is empty")
        return items

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the mixed photos of retriever_train, or the mixed lists of train."""
        collator = self._given_collator()
        if self._reads_lists():
            return self.loader(placed(self.lists("train"), "train", self.on_bad_rows), collator, shuffle=True)
        photos = placed(self.photos("retriever_train"), "retriever_train", self.on_bad_rows)
        return self.photo_loader(photos, collator, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the split val, which may be empty: then nothing is held out."""
        return self._measured("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Return the split test."""
        return self._measured("test")

    def _measured(self, split: str) -> DataLoader[Any]:
        items, collator = self._items(split), self._given_collator()
        if isinstance(items, CandidateTable):
            return self.loader(placed(items, split, self.on_bad_rows), collator)
        return self.photo_loader(placed(items, split, self.on_bad_rows), collator)

    def predict_dataloader(self) -> DataLoader[Any] | list[DataLoader[Any]]:
        """Return what is not answered of the split test, with the lists kept for answers that people read.

        Returns:
            A loader; no loader if all is answered.
        """
        collator = self._given_collator()
        lists = self._items("test")
        if not isinstance(lists, CandidateTable):
            self.answered, self.left = 0, len(lists)
            return self.photo_loader(lists, collator)
        rows = range(len(lists)) if self.unanswered is None else self.unanswered(lists)
        self.answered, self.left = len(lists) - len(rows), len(rows)
        return self.loader(Subset(lists, rows), _KeepLists(collator)) if rows else []  # type: ignore[arg-type]

    def settings(self) -> dict[str, object]:
        """Return the settings that photos and lists depend on.

        Paths are left out, so that data can move, and so is what only says how they are loaded.
        """
        return {
            name: value
            for name, value in self.hparams.items()
            if name not in ("batch_size", "num_workers", "seed") and isinstance(value, str | int | float | bool)
        }

    def fingerprint(self, lists: CandidateTable) -> str:
        """Return what tells these lists and their photos from others: a hash of them and of this data's settings."""
        told = json.dumps([type(self).__qualname__, self.settings(), lists.fingerprint()], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def _converts_batches(precision: Precision) -> bool:
    numbers = [torch.zeros(1, dtype=dtype) for dtype in (torch.float64, torch.float32)]
    return any(precision.convert_input(each) is not each for each in numbers)


class _LazyLoader(DataLoader[Any]):
    """A loader that starts to read at the first batch.

    Lightning asks for the iterator before it has restored its progress, which tells where to go on.
    """

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        batches = super().__iter__()
        yield from self.collate_fn.batches(batches) if isinstance(self.collate_fn, ReadablePhotos) else batches

    def state_dict(self) -> dict[str, Any]:
        """Return nothing to save, but tell Lightning that this loader resumes in the middle of an epoch."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore nothing: the trainer's own progress is the position."""


@dataclass(frozen=True)
class _KeepLists:
    """Lets a batch carry the lists that it was made of."""

    collator: Collator

    def __call__(self, lists: Sequence[CandidateList]) -> Batch:
        batch = self.collator(lists)
        return replace(batch, lists=tuple(lists)) if isinstance(batch, RankingBatch) else batch
