"""A small benchmark of real places in which a test can plant faults."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest

from georanker.candidate_table import SCHEMA, CandidateTable, candidate_column
from georanker.data.base import GeoDataModule
from georanker.gazetteer import gazetteer
from georanker.types import GeorankerError, Photo, Place
from georanker.verbs.check_data import check_data
from tests.photos_with_gps import picture

PHOTOS, CANDIDATES, GALLERY = 40, 5, 60


@dataclass
class World:
    """Tables and bytes that a test may spoil before a benchmark is made of them."""

    ids: dict[str, list[str]]
    places: dict[str, np.ndarray]
    countries: list[str]
    data: dict[str, bytes]
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """(N, K) gallery rows of the candidates of test."""
    list_ids: list[str] = field(default_factory=list)
    truth: np.ndarray = field(default_factory=lambda: np.zeros(0))
    candidate_places: np.ndarray = field(default_factory=lambda: np.zeros(0))
    candidate_ids: list[str | None] = field(default_factory=list)
    negatives: list[tuple[int, str, float, float]] = field(default_factory=list)
    """Row of the list, photo, latitude and longitude of each."""

    def read(self, photo_id: str) -> bytes:
        if photo_id not in self.data:
            raise GeorankerError(f"photo {photo_id}: not there")
        return self.data[photo_id]

    def __contains__(self, photo_id: object) -> bool:
        return photo_id in self.data


class Planted(GeoDataModule):
    """The world as a benchmark, with the lists of test among its own files."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.photo_source = self.gallery_source = world

    def photos(self, split: str) -> Sequence[Photo]:
        if split not in self.world.ids:
            raise GeorankerError(f"there is no split {split}")
        return [
            Photo(id_, None if np.isnan(latitude) else Place(latitude, longitude), self.world)
            for id_, (latitude, longitude) in zip(self.world.ids[split], self.world.places[split].tolist(), strict=True)
        ]

    def own_lists(self, split: str) -> CandidateTable | None:
        return CandidateTable(table(self.world), "world", self.world, self.world) if split == "test" else None


def table(world: World) -> pa.Table:
    lengths = np.full(len(world.list_ids), CANDIDATES)
    columns_ = zip(*sorted(world.negatives), strict=True) if world.negatives else ((),) * 4
    rows, ids, latitudes, longitudes = (list(column) for column in columns_)
    columns = {
        "photo_id": pa.array(world.list_ids),
        "latitude": pa.array(world.truth[:, 0], from_pandas=True),
        "longitude": pa.array(world.truth[:, 1], from_pandas=True),
        "embedding": pa.nulls(len(world.list_ids), pa.list_(pa.float32())),
        "candidates": candidate_column(
            lengths,
            world.candidate_places[:, 0],
            world.candidate_places[:, 1],
            photo_ids=pa.array(world.candidate_ids),
            countries=pa.array(world.countries),
        ),
        "negatives": candidate_column(
            np.bincount(np.array(rows, np.int64), minlength=len(lengths)),
            np.array(latitudes, np.float64),
            np.array(longitudes, np.float64),
            photo_ids=pa.array(ids, pa.string()),
        ),
    }
    return pa.table(columns, SCHEMA)


def planted_world() -> World:
    """Photos near settlements, each with gallery photos near it among its candidates."""
    random = np.random.default_rng(4)
    settlements = gazetteer().places
    towns = settlements[np.abs(settlements[:, 1]) < 89]  # swapped, they would still be on the Earth
    gallery = towns[random.integers(0, len(towns), GALLERY)]
    near = random.integers(0, GALLERY, PHOTOS)
    ids = {name: [f"{name}/{at}" for at in range(size)] for name, size in (("gallery", GALLERY), ("test", PHOTOS))}
    ids["train"] = [f"train/{at}" for at in range(10)]
    places = {
        "gallery": gallery,
        "test": gallery[near] + random.normal(size=(PHOTOS, 2)) * 0.05,
        "train": towns[random.integers(0, len(towns), 10)],
    }
    every = [id_ for split in ids.values() for id_ in split]
    data = {id_: picture("PNG", grey=at) for at, id_ in enumerate(every)}
    others = np.array([random.choice(GALLERY - 1, CANDIDATES - 1, replace=False) for _ in range(PHOTOS)])
    rows = np.concatenate([near[:, None], (near[:, None] + 1 + others) % GALLERY], 1)
    flat = rows.ravel()
    return World(
        ids,
        places,
        gazetteer().lookup(gallery[flat]).country.tolist(),
        data,
        rows,
        list(ids["test"]),
        places["test"].copy(),
        gallery[flat].copy(),
        [f"gallery/{row}" for row in flat],
    )


def checked(world: World, capsys: pytest.CaptureFixture[str], photos: int | None = None) -> tuple[set[str], str]:
    """Return the headings of what was found, and all that was said; the exit status must fit."""
    status = 0
    try:
        check_data(Planted(world), photos=photos)
    except SystemExit as exit_:
        status = int(str(exit_.code))
    said = capsys.readouterr().out
    headings = set(re.findall(r"^(\S+(?:, \S+)?  \S.*: [\d,]+)$", said, re.MULTILINE))
    assert status == (1 if headings else 0)
    return headings, said
