"""What is written to a candidates file is read again, and what cannot be is refused with file, row and field."""

from __future__ import annotations

import json
import math
import multiprocessing
import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from georanker import rows
from georanker.candidates import CandidatesFile, write_candidates
from georanker.retrievers.gallery import Gallery
from georanker.types import Candidate, CandidateList, GeorankerError, Photo, Place


@dataclass(frozen=True)
class Source:
    """A source that can be told from another."""

    name: str

    def read(self, photo_id: str) -> bytes:
        return f"{self.name} {photo_id}".encode()


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
places = st.builds(Place, st.floats(-90, 90), st.floats(-180, 180), names, names, names)
truths = st.builds(Place, st.floats(-90, 90), st.floats(-180, 180))  # the file keeps no names of true places
scores = st.floats(width=32, allow_nan=False)


@st.composite
def candidates(draw: st.DrawFn) -> Candidate:
    place = draw(places)
    photo = draw(st.none() | st.builds(Photo, names.filter(bool), st.just(place)))
    return Candidate(place, draw(scores), photo, draw(st.none() | st.integers(0, 2**62)), draw(names))


@st.composite
def lists(draw: st.DrawFn) -> list[CandidateList]:
    dim = draw(st.integers(1, 4))
    vectors = st.lists(st.floats(-1, 1, width=32), min_size=dim, max_size=dim)
    return [
        CandidateList(
            Photo(draw(names.filter(bool)), draw(st.none() | truths)),
            tuple(draw(st.lists(candidates(), min_size=1, max_size=4))),
            tuple(draw(st.lists(candidates(), max_size=2))),
            draw(st.none() | vectors.map(lambda vector: np.array(vector, np.float32))),
        )
        for _ in range(draw(st.integers(0, 5)))
    ]


def example(size: int) -> Iterator[CandidateList]:
    for row in range(size):
        place = Place(row % 90, row % 180)
        yield CandidateList(
            Photo(f"p{row}", place),
            tuple(Candidate(place, 0.5, Photo(f"g{k}", place), k) for k in range(1 + row % 3)),
            embedding=np.full(2, row, np.float32),
        )


def same(one: CandidateList, two: CandidateList) -> bool:
    vectors = [np.empty(0) if found.embedding is None else found.embedding for found in (one, two)]
    return one == replace(two, gallery=one.gallery) and np.array_equal(vectors[0], vectors[1])


@settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=lists(), group=st.integers(1, 3))
def test_what_is_written_is_read(
    written: list[CandidateList], group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "_ROWS_A_GROUP", group)
    path = tmp_path / "train.parquet"
    assert write_candidates(path, iter(written), "abc", tmp_path / "gallery") == len(written)
    found = CandidatesFile(path)
    assert len(found) == len(written)
    assert found.retriever == "abc"
    assert all(same(one, two) for one, two in zip(written, found, strict=True))
    assert all(one.gallery == str(tmp_path / "gallery") for one in found)
    for part in (slice(1, None), slice(None, None, -2)):
        assert all(same(one, two) for one, two in zip(written[part], found[part], strict=True))
    if written:
        assert same(written[-1], found[-1])
    for row in (len(written), -len(written) - 1):
        with pytest.raises(IndexError):
            found[row]


def test_photos_know_their_sources(tmp_path: Path) -> None:
    write_candidates(tmp_path / "x.parquet", example(3), "abc", None)
    photos, gallery = Source("photos"), Source("gallery")
    found = CandidatesFile(tmp_path / "x.parquet", photos, gallery)[1]
    assert found.gallery == ""
    assert found.photo.source is photos
    assert found.candidates[0].photo is not None
    assert found.candidates[0].photo.source is gallery


def test_a_run_folder_can_move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_candidates(Path("run/candidates/val.parquet"), example(1), "abc", Path("run/gallery"))
    (tmp_path / "elsewhere").mkdir()
    Path("run").rename("elsewhere/demo")
    for path in (Path("elsewhere/demo/candidates/val.parquet"), tmp_path / "elsewhere/demo/candidates/val.parquet"):
        assert Path(CandidatesFile(path).gallery).resolve() == tmp_path / "elsewhere/demo/gallery"


def test_other_processes_read_the_same(tmp_path: Path) -> None:
    write_candidates(tmp_path / "x.parquet", example(4), "abc", tmp_path / "gallery")
    found = CandidatesFile(tmp_path / "x.parquet", Source("photos"))
    assert len(pickle.dumps(found)) < 1000, "the rows stay in the file"
    copy = pickle.loads(pickle.dumps(found))
    assert list(copy) == list(found)
    assert copy.photo_source == found.photo_source
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(list, (found,)) == list(found)


def test_memory_does_not_grow_with_the_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "_ROWS_A_GROUP", 10)
    written: list[int] = []
    write = pq.ParquetWriter.write_table

    def counted(self: pq.ParquetWriter, table: pa.Table) -> None:
        written.append(len(table))
        write(self, table)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", counted)

    def watched() -> Iterator[CandidateList]:
        for row, found in enumerate(example(35)):
            assert row - sum(written) <= 10, "lists wait in memory"
            yield found

    assert write_candidates(tmp_path / "x.parquet", watched(), "abc", None) == 35
    assert sum(written) == 35
    assert len(CandidatesFile(tmp_path / "x.parquet")) == 35


def test_a_retriever_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def failing() -> Iterator[CandidateList]:
        yield from example(2000)
        raise GeorankerError("photo p2000: cannot be decoded")

    path = tmp_path / "x.parquet"
    with pytest.raises(GeorankerError, match="p2000"):
        write_candidates(path, failing(), "abc", None)
    assert list(tmp_path.iterdir()) == []
    write_candidates(path, example(3), "abc", None)
    with pytest.raises(GeorankerError, match="p2000"):
        write_candidates(path, failing(), "abc", None)
    assert len(CandidatesFile(path)) == 3
    assert len(list(tmp_path.iterdir())) == 1


def edited(path: Path, row: int, field: str, value: Any, among: str = "") -> Path:
    """Write a file of 4 rows in which one value of one row is another one."""
    write_candidates(path, example(4), "abc", None)
    table = pq.read_table(path)
    rows = table.to_pylist()
    if among:
        extra = dict(rows[0]["candidates"][0])
        rows[row][among] = [*rows[row][among], {**extra, field: value}]
    else:
        rows[row][field] = value
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    return path


WRONG = [
    ("latitude", 120.0, "candidates", "latitude 120 in candidates is outside [-90, 90] degrees"),
    ("longitude", -180.5, "candidates", "longitude -180.5 in candidates is outside [-180, 180] degrees"),
    ("latitude", math.nan, "candidates", "latitude nan in candidates"),
    ("longitude", None, "candidates", "longitude nan in candidates"),
    ("score", math.nan, "candidates", "score in candidates is not a number"),
    ("score", None, "candidates", "score in candidates is not a number"),
    ("gallery_row", -2, "candidates", "gallery_row -2 in candidates is negative"),
    ("latitude", -120.0, "negatives", "latitude -120 in negatives is outside [-90, 90] degrees"),
    ("candidates", [], "", "candidates is empty"),
    ("candidates", None, "", "candidates is empty"),
    ("latitude", 90.5, "", "latitude 90.5 is outside [-90, 90] degrees"),
    ("longitude", math.nan, "", "longitude nan is outside [-180, 180] degrees"),
    ("latitude", None, "", "latitude and longitude must both be there, or neither"),
    ("longitude", None, "", "latitude and longitude must both be there, or neither"),
    ("embedding", [1.0, math.nan], "", "embedding holds a number that is not finite"),
    ("embedding", [1.0, None], "", "embedding holds a number that is not finite"),
    ("embedding", [1.0], "", "embedding has 1 numbers, another row has 2"),
]


@pytest.mark.parametrize(("field", "value", "among", "fault"), WRONG)
@pytest.mark.parametrize("row", [0, 2, 3])
def test_wrong_values_are_named(field: str, value: Any, among: str, fault: str, row: int, tmp_path: Path) -> None:
    path = edited(tmp_path / "x.parquet", row, field, value, among)
    start = f"candidates file {path}, row {row} (photo p{row}): {fault}"
    with pytest.raises(GeorankerError, match=f"^{re.escape(start)}") as raised:
        CandidatesFile(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("value", [None, ""])
def test_a_photo_needs_an_id(value: str | None, tmp_path: Path) -> None:
    with pytest.raises(GeorankerError, match=r"row 2 .*: photo_id is empty"):
        CandidatesFile(edited(tmp_path / "x.parquet", 2, "photo_id", value))


def test_what_may_be_missing(tmp_path: Path) -> None:
    for field in ("embedding", "negatives"):
        found = CandidatesFile(edited(tmp_path / "x.parquet", 1, field, None))[1]
        assert found.embedding is None or found.negatives == ()
    for field in ("photo_id", "gallery_row", "source", "city"):
        candidate = CandidatesFile(edited(tmp_path / "x.parquet", 1, field, None, "candidates"))[1].candidates[-1]
        assert getattr(candidate, {"photo_id": "photo", "city": "place"}.get(field, field)) in (
            None, "", Place(0, 0)
        )  # fmt: skip


def test_files_that_are_not_candidates_files(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(
        GeorankerError, match=f"candidates file {path}: not there; make it .*, or leave data.candidates"
    ):
        CandidatesFile(path)
    write_candidates(path, example(50), "abc", None)
    whole = path.read_bytes()
    for data in (whole[:-100], whole[: len(whole) // 2], b"", b"photo_id,latitude\n"):
        path.write_bytes(data)
        with pytest.raises(GeorankerError, match=f"candidates file {path}: cannot be read"):
            CandidatesFile(path)
    write_candidates(path, example(2), "abc", None)
    pq.write_table(pq.read_table(path), path, compression="none")
    path.write_bytes(path.read_bytes().replace(b"p1", b"\xff1"))
    with pytest.raises(GeorankerError, match=r"cannot be read .*UTF8.*; make it again with `georanker retrieve`$"):
        CandidatesFile(path)
    pq.write_table(pa.table({"photo_id": ["a"]}), path)
    with pytest.raises(GeorankerError, match=f"candidates file {path}: not written by `georanker retrieve`"):
        CandidatesFile(path)


def test_other_columns_types_and_versions(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    write_candidates(path, example(2), "abc", None)
    table = pq.read_table(path)
    head = {"version": 2, "retriever": "abc", "gallery": ""}
    for other in (
        table.drop_columns(["negatives"]).replace_schema_metadata(table.schema.metadata),
        table.set_column(1, "latitude", table["latitude"].cast(pa.string())),
        table.replace_schema_metadata({"georanker.candidates": json.dumps(head)}),
        table.replace_schema_metadata({"georanker.candidates": "{}"}),
        table.replace_schema_metadata({"georanker.candidates": "[1]"}),
        table.replace_schema_metadata({"georanker.candidates": json.dumps({"version": 1, "retriever": "abc"})}),
    ):
        pq.write_table(other, path)
        with pytest.raises(GeorankerError, match=f"candidates file {path}: another format version; write it again"):
            CandidatesFile(path)
    pq.write_table(table.replace_schema_metadata({"georanker.candidates": "half a"}), path)
    with pytest.raises(GeorankerError, match="cannot be read"):
        CandidatesFile(path)


@pytest.mark.parametrize("head", ["half a", "[]", "{}"])
def test_a_gallery_that_cannot_be_read(head: str, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    (tmp_path / "gallery").mkdir()
    write_candidates(path, example(2), "abc", tmp_path / "gallery")
    (tmp_path / "gallery" / "gallery.json").write_text(head)
    with pytest.raises(GeorankerError, match=r"gallery\.json: cannot be read .*; make the gallery again"):
        CandidatesFile(path)
    with pytest.raises(GeorankerError, match=r"gallery\.json: cannot be read .*; make the gallery again"):
        write_candidates(path, example(2), "abc", tmp_path / "gallery")


def test_a_gallery_that_was_built_again(tmp_path: Path) -> None:
    path, folder = tmp_path / "x.parquet", tmp_path / "gallery"

    def gallery(retriever: str, seed: int, size: int = 3) -> None:
        vectors = np.random.default_rng(seed).normal(size=(size, 2)).astype(np.float32)
        made = Gallery(retriever)
        made.add([Photo(f"g{row}", Place(row, 0)) for row in range(size)], vectors, vectors)
        made.save(folder)

    gallery("abc", 0)
    write_candidates(path, example(2), "abc", folder)
    gallery("abc", 0)
    assert len(CandidatesFile(path)) == 2, "the same rows, built again"
    for retriever, seed, size, how in (
        ("abd", 0, 3, "by another retriever"),
        ("abc", 1, 3, "with other photos or vectors"),
        ("abc", 0, 4, "with other photos or vectors"),
    ):
        gallery(retriever, seed, size)
        with pytest.raises(GeorankerError, match=f"gallery {folder} was built again {how}; retrieve again"):
            CandidatesFile(path)
    head = json.loads((folder / "gallery.json").read_text())
    (folder / "gallery.json").write_text(json.dumps({"version": 1, "retriever": head["retriever"]}))
    assert len(CandidatesFile(path)) == 2, "a gallery of before"
