"""Each fault that is planted into clean data is found, told with its row, and nothing else is."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from tests.photos_with_gps import gps_block, photo_at, photo_with
from tests.planted_world import World, checked, planted_world


@pytest.fixture
def world() -> World:
    return planted_world()


def test_clean_data(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    headings, said = checked(world, capsys)
    assert headings == set()
    assert "nothing is wrong" in said
    assert re.search(r"^test +40 +40 +40 +40 +200 +\d+$", said, re.MULTILINE)
    assert re.search(r"^oracle, the best +[\d.]+ +[\d.]+ +100\.0 +100\.0 +100\.0$", said, re.MULTILINE)


def swap_truth(world: World) -> None:
    world.places["test"] = world.places["test"][:, ::-1].copy()
    world.truth = world.truth[:, ::-1].copy()


def swap_candidates(world: World) -> None:
    world.candidate_places = world.candidate_places[:, ::-1].copy()


def same_point(world: World) -> None:
    world.places["gallery"][:12] = (48.8, 2.3)


def copies(one: str, two: str) -> Callable[[World], None]:
    def change(world: World) -> None:
        world.data[one] = world.data[two]

    return change


def candidate(item: int, **changes: object) -> Callable[[World], None]:
    def change(world: World) -> None:
        if "id" in changes:
            world.candidate_ids[item] = str(changes["id"])
        if "place" in changes:
            world.candidate_places[item] = changes["place"]

    return change


def no_place(world: World) -> None:
    world.places["gallery"][[7, 8]] = np.nan
    world.places["test"][3] = world.truth[3] = np.nan  # it can still be located


def own_coordinates(world: World) -> None:
    world.candidate_places[7] = world.truth[1]


def own_negative(world: World) -> None:
    latitude, longitude = world.truth[1].tolist()
    world.negatives = [(1, "gallery/1", 10, 20), (1, "test/1", latitude, longitude), (2, "gallery/2", 10, 20)]


def copied_negative(world: World) -> None:
    latitude, longitude = world.truth[2].tolist()
    world.negatives = [(1, "gallery/1", 10, 20), (2, "gallery/1", latitude, longitude), (3, "gallery/9", 0, 0)]


def own_bytes(world: World) -> None:
    world.data[str(world.candidate_ids[7])] = world.data["test/1"]


def twice_in_a_list(world: World) -> None:
    world.candidate_ids[9] = world.candidate_ids[7]


def lost_list(world: World) -> None:
    world.list_ids[4] = "elsewhere"


def photo(id_: str, data: bytes | None) -> Callable[[World], None]:
    def change(world: World) -> None:
        if data is None:
            del world.data[id_]
        else:
            world.data[id_] = data

    return change


def exif_elsewhere(world: World) -> None:
    latitude, longitude = world.places["train"][3]
    world.data["train/3"] = photo_at(float(latitude) / 2, float(longitude) / 2)


def unknown_with_bad_exif(world: World) -> None:
    world.places["train"][3] = np.nan
    world.data["train/3"] = photo_with({key: value for key, value in gps_block(1, 2).items() if key != 1})


def at_zero(world: World) -> None:
    world.places["train"][3] = 0


def other_truth(world: World) -> None:
    world.truth[3] += 0.5


def id_twice(world: World) -> None:
    world.ids["train"][3] = "train/4"


def list_twice(world: World) -> None:
    world.list_ids[3] = "test/4"
    world.truth[3] = world.truth[4]


def shared_id(world: World) -> None:
    world.ids["train"][3] = "test/7"


FAULTS: dict[str, tuple[Callable[[World], None], set[str], str]] = {
    "a missing photo": (photo("train/3", None), {"train  photos that are missing: 1"}, "photo train/3: not there"),
    "a broken photo": (photo("test/3", b"x"), {"test  photos that are broken: 1"}, "photo test/3: not an image"),
    "an empty photo": (
        photo("test/3", b""),
        {"test  photos that are broken: 1"},
        "do what is said of each, fetch them",
    ),
    "a broken candidate": (photo("gallery/3", b"x"), {"gallery  photos that are broken: 1"}, "photo gallery/3"),
    "swapped truth": (swap_truth, {"test  signs that latitude and longitude are swapped: 2"}, "with the truth's"),
    "swapped candidates": (swap_candidates, {"test  signs that latitude and longitude are swapped: 2"}, "the country"),
    "0, 0": (at_zero, {"train  photos at 0, 0: 1"}, "train/3"),
    "a candidate at 0, 0": (
        candidate(7, place=0),
        {"test  candidates at 0, 0: 1"},
        "row 1 (photo test/1), candidate 2",
    ),
    "EXIF elsewhere": (exif_elsewhere, {"train  photos over 25 km from their own EXIF GPS: 1"}, "photo train/3: "),
    "bad EXIF": (
        unknown_with_bad_exif,
        {"train  photos whose EXIF GPS cannot be: 1", "train  photos without a place: 1"},
        "has no hemisphere",
    ),
    "no place": (no_place, {"gallery  photos without a place: 2"}, "    gallery/8"),
    "the query as candidate": (
        candidate(7, id="test/1"),
        {"test  candidates that are the query's own photo: 1"},
        "row 1 (photo test/1), candidate 2",
    ),
    "the query as candidate, written otherwise": (
        candidate(7, id="./test//1.jpg"),
        {"test  candidates that are the query's own photo: 1"},
        "row 1 (photo test/1), candidate 2",
    ),
    "a candidate at the query's place": (
        own_coordinates,
        {"test  candidates at exactly the query's coordinates: 1"},
        "row 1 (photo test/1), candidate 2",
    ),
    "the query as negative": (
        own_negative,
        {"test  negatives that are the query's own photo: 1"},
        "row 1 (photo test/1), negative 1",
    ),
    "a negative at the query's place, and one at 0, 0": (
        copied_negative,
        {"test  negatives at exactly the query's coordinates: 1", "test  negatives at 0, 0: 1"},
        "row 2 (photo test/2), negative 0",
    ),
    "an id twice": (id_twice, {"train  ids of more than one photo: 1"}, "train/4: 2 times"),
    "a copy": (
        copies("train/3", "train/4"),
        {"train  photos that are there again, byte for byte: 1"},
        "train/3 = train/4",
    ),
    "a crowd": (same_point, {"gallery  exact points with a crowd of photos: 1"}, "48.8, 2.3: 12 photos"),
    "a candidate twice": (
        twice_in_a_list,
        {"test  candidates that stand in their list before: 1"},
        "row 1 (photo test/1), candidate 4",
    ),
    "a photo without its list": (
        lost_list,
        {"test  photos without a list: 1", "test  lists of photos that the split does not have: 1"},
        "elsewhere",
    ),
    "another truth": (other_truth, {"test  lists with another truth than their photo: 1"}, "row 3 (photo test/3)"),
    "two lists": (
        list_twice,
        {"test  photos with more than one list: 1", "test  photos without a list: 1"},
        "test/4: 2 times",
    ),
    "an id in two splits": (shared_id, {"train, test  photos that are in both: 1"}, "test/7"),
    "bytes in two splits": (
        copies("train/3", "test/7"),
        {"train, test  photos that are in both, byte for byte, by other ids: 1"},
        "train/3 = test/7",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_told(name: str, world: World, capsys: pytest.CaptureFixture[str]) -> None:
    plant, expected, row = FAULTS[name]
    plant(world)
    headings, said = checked(world, capsys)
    others = {heading for heading in headings - expected if "candidates' photos" not in heading}
    assert expected <= headings, said
    assert others == set(), said
    assert row in said


def test_a_candidate_with_the_bytes_of_the_query(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    own_bytes(world)
    headings, said = checked(world, capsys)
    gallery = world.candidate_ids[7]
    lists = sum(gallery == each for each in world.candidate_ids[5:10])
    assert f"test  candidates with the bytes of the query: {lists}" in headings
    assert "row 1 (photo test/1), candidate 2" in said
    assert "gallery, test  photos that are in both, byte for byte, by other ids: 1" in headings
