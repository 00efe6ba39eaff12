"""Answers in parts: merged in little memory, complete or not at all, and safe from runs of before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from georanker import parts as rows_in_parts
from georanker.answers import SCHEMA
from georanker.parts import Parts
from georanker.types import GeorankerError


def rows_of(count: int) -> list[dict[str, object]]:
    candidate = {"latitude": 1.0, "longitude": 2.0, "score": 3.0, "photo_id": "g", "source": "retrieved"}
    empty = dict.fromkeys(SCHEMA.names, None)
    return [{**empty, "photo_id": f"p{number}", "candidates": [candidate] * 15} for number in range(count)]


def test_merging_needs_memory_for_some_rows_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_in_parts, "_ROWS_A_GROUP", 100)
    highest: dict[int, int] = {}
    before: dict[int, int] = {}
    read = rows_in_parts._read

    for photos in (1000, 4000):

        def watched(file: Path, columns: Sequence[str] | None = None, photos: int = photos) -> pa.Table:
            table = read(file, columns)
            highest[photos] = max(highest.get(photos, 0), pa.total_allocated_bytes() - before[photos])
            return table

        parts, rows = Parts(tmp_path / f"{photos}.parts", SCHEMA, {}), rows_of(photos)
        parts.begin()
        for process in range(3):
            own = rows[process::3]
            for start in range(0, len(own), 50):
                parts.add(own[start : start + 50])
        before[photos] = pa.total_allocated_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(rows_in_parts, "_read", watched)
            parts.merge(tmp_path / f"{photos}.parquet", [f"p{number}" for number in range(photos)])
        assert (
            pq.read_table(tmp_path / f"{photos}.parquet").to_pylist() == pa.Table.from_pylist(rows, SCHEMA).to_pylist()
        )
    assert highest[1000] > 100 * 15 * 16  # the coordinates of a hundred rows
    assert highest[4000] < 1.5 * highest[1000]


def test_no_file_without_all_answers(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "a.parts", SCHEMA, {})
    parts.begin()
    parts.add(rows_of(2))
    with pytest.raises(GeorankerError, match=r"a\.parts lacks 2 rows, photo p2 for one"):
        parts.merge(tmp_path / "a.parquet", ["p0", "p1", "p2", "p3"])
    assert not (tmp_path / "a.parquet").exists()


def test_a_part_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "a.parts", SCHEMA, {})
    parts.begin()
    parts.add(rows_of(2))
    (part,) = (tmp_path / "a.parts").glob("*.parquet")
    pq.write_table(pq.read_table(part), part, compression="none")
    part.write_bytes(part.read_bytes().replace(b"p1", b"\xff1"))
    with pytest.raises(GeorankerError, match=rf"{part.name}: cannot be read \(.*UTF8.*; delete it, and its photos"):
        parts.merge(tmp_path / "a.parquet", ["p0", "p1"])


def test_a_writer_of_before_cannot_spoil_a_folder(tmp_path: Path) -> None:
    """A process that outlived its run, whose folder was merged, or removed and begun by another ranker."""
    folder = tmp_path / "a.parts"
    old = Parts(folder, SCHEMA, {"ranker": "1"})
    old.begin()
    old.remove()
    with pytest.raises(GeorankerError, match=r"a\.parts was removed or changed by another run"):
        old.add(rows_of(1))
    assert not folder.exists()
    new = Parts(folder, SCHEMA, {"ranker": "2"})
    assert new.begin() == set()
    with pytest.raises(GeorankerError, match=r"a\.parts was removed or changed by another run"):
        old.add(rows_of(1))
    new.add(rows_of(1))
    assert new.begin() == {"p0"}


def test_folders_may_be_named_like_columns(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "photo_id=3" / "a.parts", SCHEMA, {})
    parts.begin()
    parts.add(rows_of(3))
    parts.merge(tmp_path / "a.parquet", ["p2", "p0", "p1"])
    assert pq.read_table(tmp_path / "a.parquet")["photo_id"].to_pylist() == ["p2", "p0", "p1"]
