"""A gallery finds what a loop over all vectors finds, survives the disk, and refuses what would be nonsense."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from georanker.retrievers.gallery import Gallery
from georanker.types import GeorankerError, Photo, Place


@dataclass(frozen=True)
class Source:
    """A source without bytes."""

    def read(self, photo_id: str) -> bytes:
        return b""


def photos(count: int, start: int = 0) -> list[Photo]:
    return [
        Photo(f"Zürich/{row}", Place(row % 90, -row % 180, "Zürich", "", "Schweiz"))
        for row in range(start, start + count)
    ]


def vectors(count: int, dim: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def filled(count: int = 6, dim: int = 5, source: Source | None = None) -> Gallery:
    gallery = Gallery("abc", source)
    gallery.add(photos(count), vectors(count, dim, 1), vectors(count, dim, 2))
    return gallery


@settings(deadline=None, derandomize=True, max_examples=50)
@given(
    parts=st.lists(st.integers(0, 9), min_size=1, max_size=4).filter(any),
    dim=st.integers(1, 6),
    count=st.integers(1, 5),
    top_k=st.integers(1, 40),
    seed=st.integers(0, 100),
)
def test_search_is_a_loop_over_all_vectors(parts: list[int], dim: int, count: int, top_k: int, seed: int) -> None:
    gallery = Gallery("abc")
    total = 0
    stored = vectors(sum(parts), dim, seed)
    for size in parts:
        gallery.add(photos(size, total), stored[total : total + size], stored[total : total + size])
        total += size
        if len(gallery):
            gallery.search(photos(1), stored[:1], 1)  # what is added after a search is found by the next
    queries = vectors(count, dim, seed + 1)
    asked = [Photo(f"query {row}") for row in range(count)]
    found = gallery.search(asked, queries, top_k)
    assert [each.photo for each in found] == asked
    for query, each in zip(queries, found, strict=True):
        products = [float(np.dot(query.astype(float), row)) for row in stored]
        best = sorted(range(total), key=lambda row: -products[row])[:top_k]
        assert [c.gallery_row for c in each.candidates] == best
        assert [c.score for c in each.candidates] == pytest.approx([products[row] for row in best], abs=1e-5)
        assert [c.photo for c in each.candidates] == [photos(total)[row] for row in best]
        assert each.embedding is not None
        np.testing.assert_array_equal(each.embedding, query)


def test_saved_and_loaded_it_finds_the_same(tmp_path: Path) -> None:
    source = Source()
    gallery = filled(source=source)
    before = gallery.search(photos(3), vectors(3), 4)
    assert all(found.gallery == "" for found in before)
    gallery.save(tmp_path / "gallery")
    loaded = Gallery.load(tmp_path / "gallery", source)
    assert (len(loaded), loaded.fingerprint) == (6, "abc")
    for one, two in ((gallery, loaded), (loaded, gallery)):
        found = one.search(photos(3), vectors(3), 4)
        assert [each.candidates for each in found] == [each.candidates for each in before]
        assert all(each.gallery == str(tmp_path / "gallery") for each in found)
        assert found[0].candidates[0].photo is not None
        assert found[0].candidates[0].photo.source is source
        np.testing.assert_array_equal(one.location_embeddings, two.location_embeddings)
    assert isinstance(loaded.embeddings, np.memmap)
    assert isinstance(loaded.location_embeddings, np.memmap)


def test_saving_takes_the_place_of_an_older_gallery(tmp_path: Path) -> None:
    filled(6).save(tmp_path / "gallery")
    larger = Gallery.load(tmp_path / "gallery")
    larger.add(photos(3, 6), vectors(3), vectors(3))
    larger.save(tmp_path / "gallery")
    assert len(Gallery.load(tmp_path / "gallery")) == 9
    assert [each.name for each in tmp_path.iterdir()] == ["gallery"]


def test_saving_that_fails_leaves_the_older_gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(6).save(tmp_path / "gallery")

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(GeorankerError, match=r"gallery: cannot be written \(No space"):
        filled(9).save(tmp_path / "gallery")
    monkeypatch.undo()
    assert len(Gallery.load(tmp_path / "gallery")) == 6
    assert [each.name for each in tmp_path.iterdir()] == ["gallery"]


def test_saving_does_not_take_the_place_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "ranker.ckpt").write_text("weeks of work")
    (tmp_path / "file").write_text("a file")
    for name, held in (("run", r"ranker\.ckpt"), ("file", "a file")):
        with pytest.raises(GeorankerError, match=f"gallery {tmp_path / name}: {held} is there"):
            filled().save(tmp_path / name)
    assert (tmp_path / "run" / "ranker.ckpt").read_text() == "weeks of work"
    (tmp_path / "empty").mkdir()
    filled().save(tmp_path / "empty")


def test_what_a_gallery_cannot_hold() -> None:
    good, three = vectors(3), photos(3)
    lost = good.copy()
    lost[1, 2] = math.nan
    for some, embeddings, locations, fault in (
        (three, good[:2], good, "3 photos with 2 embeddings and 3 location embeddings"),
        (three, good, good[:1], "3 photos with 3 embeddings and 1 location embeddings"),
        (three[:2], good, good, "2 photos with 3 embeddings"),
        ([*three[:2], Photo("x")], good, good, "photo x has no place"),
        (three, lost, good, "photo Zürich/1: its vector holds a number that is not finite"),
        (three, good, lost, "photo Zürich/1: its vector holds a number that is not finite"),
    ):
        gallery = Gallery("abc")
        with pytest.raises(GeorankerError, match=fault):
            gallery.add(some, embeddings, locations)
        assert len(gallery) == len(gallery.embeddings) == 0


def test_what_cannot_be_searched() -> None:
    with pytest.raises(GeorankerError, match=r"^the gallery is empty; fill it with `georanker index`$"):
        Gallery("abc").search(photos(1), vectors(1), 3)
    for top_k in (0, -1):
        with pytest.raises(GeorankerError, match=f"top_k must be at least 1, not {top_k}"):
            filled().search(photos(1), vectors(1), top_k)
    for number in (math.nan, math.inf):
        with pytest.raises(GeorankerError, match=r"photo Zürich/0: its vector"):
            filled().search(photos(1), np.full((1, 5), number, np.float32), 3)


def test_the_fingerprint_is_checked() -> None:
    filled().check_fingerprint("abc")
    with pytest.raises(GeorankerError, match=r"made by retriever abc, not by this one \(abd\); .*`georanker index`"):
        filled().check_fingerprint("abd")


class Evil:
    """Runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return self.mark.touch, ()


HEADER = b"\x93NUMPY\1\0v\0" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (6, 4".ljust(117) + b"\n"
NAMES = ("embeddings.npy", "location_embeddings.npy", "places.parquet", "gallery.json")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "text", "header"])
def test_damaged_files_are_named(name: str, damage: str, tmp_path: Path) -> None:
    filled().save(tmp_path)
    path = tmp_path / name
    whole = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"cut": whole[:-10], "empty": b"", "text": b"hello\n", "header": HEADER}[damage])
    with pytest.raises(GeorankerError, match=f"^gallery {tmp_path}: .*`georanker index`$") as raised:
        Gallery.load(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", NAMES[:2])
def test_pickles_are_not_executed(name: str, tmp_path: Path) -> None:
    filled().save(tmp_path / "gallery")
    mark = tmp_path / "executed"
    for write in (
        lambda path: np.save(path, np.array([Evil(mark)] * 6, object), allow_pickle=True),
        lambda path: path.write_bytes(pickle.dumps(Evil(mark))),
    ):
        write(tmp_path / "gallery" / name)
        with pytest.raises(GeorankerError, match="cannot be read"):
            Gallery.load(tmp_path / "gallery")
        assert not mark.exists()


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("embeddings.npy", vectors(5), "places.parquet has 6 rows, embeddings.npy 5 and location_embeddings.npy 6"),
        ("location_embeddings.npy", vectors(7), "6 rows, embeddings.npy 6 and location_embeddings.npy 7"),
        ("embeddings.npy", vectors(6)[:, 0], "another format version"),
        ("embeddings.npy", np.float32(3), "another format version"),
        ("gallery.json", {"version": 2, "retriever": "abc"}, "another format version"),
        ("gallery.json", {"version": 1}, "cannot be read"),
        ("gallery.json", [], "cannot be read"),
        ("places.parquet", {"latitude": [0.0, 10, 120, 0, 0, 0]}, "row 2: latitude 120 is outside"),
        ("places.parquet", {"longitude": [0.0, 10, 0, 0, 0, math.nan]}, "row 5: longitude nan is outside"),
        ("places.parquet", {"longitude": [None, 10, 0, 0, 0, 5.0]}, "row 0: longitude nan is outside"),
        ("places.parquet", {"latitude": ["a"] * 6}, "cannot be read"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_named(name: str, content: object, fault: str, tmp_path: Path) -> None:
    filled().save(tmp_path)
    if name.endswith("json"):
        (tmp_path / name).write_text(json.dumps(content))
    elif isinstance(content, dict):
        columns = pq.read_table(tmp_path / name).to_pydict()
        pq.write_table(pa.table({**columns, **content}), tmp_path / name)
    else:
        assert isinstance(content, np.ndarray | np.float32)
        np.save(tmp_path / name, content)
    with pytest.raises(GeorankerError, match=f"^gallery {tmp_path}.*{fault}"):
        Gallery.load(tmp_path)


def test_a_column_that_is_missing_is_named(tmp_path: Path) -> None:
    filled().save(tmp_path)
    pq.write_table(pq.read_table(tmp_path / "places.parquet").drop_columns(["city"]), tmp_path / "places.parquet")
    with pytest.raises(GeorankerError, match="city"):
        Gallery.load(tmp_path)
