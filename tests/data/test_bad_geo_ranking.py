"""Nothing wrong in GeoRanking.parquet passes: it is named, or left out and written down."""

from __future__ import annotations

import copy
import csv
import math
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from georanker.data.geo_ranking import GeoRanking
from georanker.georanking import SCHEMA
from georanker.types import GeorankerError
from tests.data.test_geo_ranking import Row, plain, seen, written
from tests.miniatures import Miniatures


def change(row: Row, column: str, value: object) -> None:
    row[column] = value


def at_rank(row: Row, column: str, value: object, rank: int = 19) -> None:
    row[column][rank] = value


BAD: dict[str, tuple[Callable[[Row], None], str]] = {
    "null id": (lambda row: change(row, "img_id", None), "column img_id: None is empty"),
    "empty id": (lambda row: change(row, "img_id", ""), "column img_id: '' is empty"),
    "null place": (lambda row: change(row, "gps", None), "column gps: None is not latitude and longitude"),
    "half a place": (lambda row: change(row, "gps", [1.0]), "column gps: [1.0] is not latitude and longitude"),
    "NaN": (lambda row: change(row, "gps", [math.nan, 0.0]), "has a latitude outside [-90, 90] degrees"),
    "null degrees": (lambda row: change(row, "gps", [1.0, None]), "has a longitude outside [-180, 180] degrees"),
    "south of the pole": (lambda row: change(row, "gps", [-90.5, 0.0]), "column gps: [-90.5, 0.0] has a latitude"),
    "no references": (lambda row: change(row, "ref_gps", []), "column ref_gps: [] has no places"),
    "null references": (lambda row: change(row, "ref_gps", None), "column ref_gps: None has no places"),
    "19 ids": (lambda row: row["ref_img_id"].pop(), "has another length than ref_gps"),
    "21 texts": (lambda row: row["ref_texts"].append([]), "has another length than ref_gps"),
    "null ids": (lambda row: change(row, "ref_img_id", None), "column ref_img_id: None has another length"),
    "null candidate": (lambda row: at_rank(row, "ref_img_id", None), "at rank 19 is empty"),
    "half a candidate": (lambda row: at_rank(row, "ref_gps", [5.0], 3), "at rank 3 is not latitude and longitude"),
    "no candidate": (lambda row: at_rank(row, "ref_gps", None, 3), "at rank 3 is not latitude and longitude"),
    "NaN candidate": (lambda row: at_rank(row, "ref_gps", [0.0, math.nan], 9), "at rank 9 has a longitude outside"),
    "infinity": (lambda row: at_rank(row, "ref_gps", [math.inf, 0.0]), "at rank 19 has a latitude outside [-90, 90]"),
    "six references": (
        lambda row: row.update({name: row[name][:6] for name in ("ref_gps", "ref_img_id", "ref_texts")}),
        "is too short: 7 references beside the photo itself are needed",
    ),
}


@pytest.mark.parametrize(("spoil", "told_so"), BAD.values(), ids=BAD)
def test_a_bad_row_is_named_or_skipped(
    spoil: Callable[[Row], None], told_so: str, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = [copy.deepcopy(row) for at, row in enumerate(rows) if at not in (5, 31)]
    for at in (5, 31):
        spoil(rows[at])
    path = written(tmp_path, rows)
    with pytest.raises(GeorankerError) as raised:
        GeoRanking(path).lists("train")
    line = str(raised.value)
    assert line.startswith(f"{path}, row 5, column ")
    assert told_so in line
    assert "\n" not in line

    monkeypatch.chdir(tmp_path)
    data = GeoRanking(path, on_bad_rows="skip", val_size=0, test_size=0)
    found = list(data.lists("train"))
    assert [seen(each) for each in found] == [seen(plain(row)) for row in good]
    with (tmp_path / "skipped_rows.train.csv").open(newline="") as file:
        skipped = list(csv.DictReader(file))
    assert [row["row"] for row in skipped] == ["5", "31"]


@pytest.mark.parametrize("column", SCHEMA.names)
def test_a_column_is_missing_or_of_another_kind(column: str, rows: list[Row], tmp_path: Path) -> None:
    table = pa.Table.from_pylist(rows, SCHEMA)
    pq.write_table(table.drop_columns([column]), tmp_path / "a.parquet")
    with pytest.raises(GeorankerError, match=f"has no column '{column}'"):
        GeoRanking(tmp_path / "a.parquet").lists("train")
    other = pa.array([{"x": 1.5}] * len(rows))
    pq.write_table(table.set_column(table.column_names.index(column), column, other), tmp_path / "a.parquet")
    with pytest.raises(GeorankerError, match=f"column {column}: holds struct<x: double>, not "):
        GeoRanking(tmp_path / "a.parquet").lists("train")


def test_files_that_are_not_there_cut_short_or_empty(paper: Miniatures, tmp_path: Path) -> None:
    whole = paper.georanking.read_bytes()
    with pytest.raises(GeorankerError, match=r"no\.parquet: cannot be read"):
        GeoRanking(tmp_path / "no.parquet").lists("train")
    for size in range(0, len(whole), len(whole) // 40):
        (tmp_path / "cut.parquet").write_bytes(whole[:size])
        with pytest.raises(GeorankerError, match=r"cut\.parquet"):
            GeoRanking(tmp_path / "cut.parquet").lists("train")
    with pytest.raises(GeorankerError, match="has no rows"):
        GeoRanking(written(tmp_path, [])).lists("train")


@pytest.mark.parametrize("column", ["gps", "ref_gps"])
def test_swapped_columns_are_said_at_once(column: str, rows: list[Row], tmp_path: Path) -> None:
    for row in rows:
        row[column] = row[column][::-1] if column == "gps" else [place[::-1] for place in row[column]]
    path = written(tmp_path, rows)
    for on_bad_rows in ("error", "skip"):
        with pytest.raises(GeorankerError, match=rf"column {column}: latitude and longitude are swapped: \d+ of"):
            GeoRanking(path, on_bad_rows=on_bad_rows).lists("train")
