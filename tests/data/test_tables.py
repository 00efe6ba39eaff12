"""Tables are read whatever program wrote them, and each fault is told with its row and column."""

from __future__ import annotations

import csv
import gzip
import io
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from georanker.data import tables
from georanker.data.tables import TableFile, column_names
from georanker.types import GeorankerError

ROWS = [
    ["a.jpg", "Cortina d'Ampezzo, Italy", "46.5374", "12.1357"],
    ["b/c.jpg", 'The "Mission"; a | b', "-37.7749", "-122.4194"],
    ["d.jpg", "東京都\tover\ntwo lines", "1e1", "+139.65"],
    ["e.jpg", "", ".5", "-0"],
]
NAMES = ["id", "name", "lat", "lon"]


def written(
    path: Path, rows: Sequence[Sequence[object]], delimiter: str = ",", encoding: str = "utf-8", end: str = "\n"
) -> Path:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows([NAMES, *rows])
    data = text.getvalue().encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("delimiter", list(",;\t|"))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_whatever_wrote_it(delimiter: str, encoding: str, end: str, tmp_path: Path) -> None:
    file = written(tmp_path / "x.csv", ROWS, delimiter, encoding, end)
    assert column_names(file) == tuple(NAMES)
    as_expected(TableFile(file, NAMES, repeating=["name"]))


def as_expected(table: TableFile) -> None:
    assert table.ids("id").to_pylist() == [row[0] for row in ROWS]
    assert table.texts("name").to_pylist() == [row[1] for row in ROWS]
    for name, limit, column in (("lat", 90.0, 2), ("lon", 180.0, 3)):
        assert table.degrees(name, limit).tolist() == [float(row[column]) for row in ROWS]
    assert table.usable("error", Path("nowhere.csv")).tolist() == [0, 1, 2, 3]


def test_packed_and_parquet(tmp_path: Path) -> None:
    as_expected(TableFile(written(tmp_path / "x.csv.gz", ROWS), NAMES))
    columns = dict(zip(NAMES, map(list, zip(*ROWS, strict=True)), strict=True))
    pq.write_table(pa.table(columns), tmp_path / "texts")
    as_expected(TableFile(tmp_path / "texts", NAMES))
    numbers = {name: pa.array(list(map(float, columns[name])), pa.float64()) for name in ("lat", "lon")}
    names = pa.array(columns["name"]).dictionary_encode()
    pq.write_table(pa.table({**columns, **numbers, "name": names}), tmp_path / "x.parquet")
    as_expected(TableFile(tmp_path / "x.parquet", NAMES))


FAULTS: list[tuple[int, str, str, str]] = [
    (0, "  ", "id", "is empty"),
    (2, "", "lat", "is empty"),
    (2, "nan", "lat", "is not a number"),
    (2, "48,85", "lat", "is not a number; a point, no comma, goes before its decimals"),
    (3, "abc", "lon", "is not a number"),
    (2, "90.01", "lat", "is outside [-90, 90] degrees"),
    (2, "1e999", "lat", "is outside [-90, 90] degrees"),
    (3, "-180.5", "lon", "is outside [-180, 180] degrees"),
    (4, "too many", "", "has 5 cells, the first line 4"),
]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, len(ROWS) - 1), st.none() | st.sampled_from(FAULTS), st.booleans()), min_size=1),
    st.sampled_from([",", ";"]),
    st.booleans(),
)
def test_each_fault_is_told_where_it_is(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[int, tuple[int, str, str, str] | None, bool]],
    delimiter: str,
    repeating: bool,
) -> None:
    folder = tmp_path_factory.mktemp("faults")
    text, told, clean = io.StringIO(), [], []
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(NAMES)
    for number, (kind, fault, blank_line_before) in enumerate(drawn):
        text.write("\n" * blank_line_before)
        row = [*ROWS[kind]]
        line = text.getvalue().count("\n") + 1
        if fault:
            at, value, column, reason = fault
            row[at : at + 1] = [value]
            told.append([str(folder / "x.csv"), str(line), column, value if column else "", reason])
        else:
            clean.append((number, row))
        writer.writerow(row)
    file = folder / "x.csv"
    file.write_text(text.getvalue(), encoding="utf-8")

    def read() -> tuple[TableFile, pa.Array, list[np.ndarray]]:
        table = TableFile(file, NAMES, ["name"] if repeating else [])
        return table, table.ids("id"), [table.degrees("lat", 90), table.degrees("lon", 180)]

    table, ids, degrees = read()
    report = folder / "run/skipped.csv"
    if told:
        with pytest.raises(GeorankerError) as raised:
            table.usable("error", report)
        _, line_, column, value, reason = told[0]
        cell = f", column {column}: {value!r}" if column else ":"
        advice = "correct it, or leave such rows out with data.on_bad_rows=skip"
        assert str(raised.value) == f"{file}, line {line_}{cell} {reason}; {advice}"
    if not clean:
        with pytest.raises(GeorankerError, match="no row of the file can be used"):
            table.usable("skip", report)
        return
    rows = table.usable("skip", report)
    assert rows.tolist() == [number for number, _ in clean]
    assert [ids[row].as_py() for row in rows.tolist()] == [row[0] for _, row in clean]
    assert [table.texts("name")[row].as_py() for row in rows.tolist()] == [row[1] for _, row in clean]
    for column_, values in zip((2, 3), degrees, strict=True):
        assert values[rows].tolist() == [float(row[column_]) for _, row in clean]
    assert report.exists() == bool(told)
    if told:
        with report.open(newline="", encoding="utf-8") as lines:
            assert list(csv.reader(lines)) == [["file", "row", "column", "value", "reason"], *told]


def test_skipping_is_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = written(tmp_path / "x.csv", [*ROWS, ["f", "", "91", "0"], ["", "", "0", "0"]])
    table = TableFile(file, NAMES)
    table.ids("id")
    table.degrees("lat", 90.0)
    with caplog.at_level(logging.WARNING):
        table.usable("skip", tmp_path / "s.csv")
    first = "line 7, column lat: '91' is outside [-90, 90] degrees"
    assert caplog.messages == [
        f"{file}: 2 of 6 rows are skipped and written to {tmp_path / 's.csv'}; the first is {first}"
    ]


def test_rows_of_parquet_count_from_0(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a", "b"], "lat": [1.0, None]}), tmp_path / "x.parquet")
    table = TableFile(tmp_path / "x.parquet", ["id", "lat"])
    table.degrees("lat", 90.0)
    with pytest.raises(GeorankerError, match=r"x\.parquet, row 1, column lat: None is empty; correct it"):
        table.usable("error", tmp_path)


def test_some_of_the_rows_keep_their_numbers(tmp_path: Path) -> None:
    rows = [*ROWS, ["f", "too", "many", "cells", "here"], ["g", "", "x", "0"]]
    table = TableFile(written(tmp_path / "x.csv", rows), NAMES)
    table.only(np.array([1, 5]))
    table.degrees("lat", 90.0)
    with pytest.raises(GeorankerError, match="line 8, column lat: 'x' is not a number"):
        table.usable("error", tmp_path)
    table = TableFile(written(tmp_path / "x.csv", rows), NAMES)
    table.only(np.array([0, 4]))
    with pytest.raises(GeorankerError, match="line 7: has 5 cells"):
        table.usable("error", tmp_path)


def refused(file: Path, *columns: str) -> str:
    with pytest.raises(GeorankerError) as raised:
        TableFile(file, columns or NAMES, options={"latitude": "data.latitude_column"})
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(str(file))
    return str(raised.value).removeprefix(str(file)).lstrip(",: ")


@pytest.mark.parametrize(
    ("column", "complaint"),
    [
        (
            "latitude",
            "has no column 'latitude' (did you mean 'lat'?); name the right one in data.latitude_column",
        ),
        ("LON", "has no column 'LON' (did you mean 'lon'?); it has id, name, lat, lon"),
        ("country", "has no column 'country'; it has id, name, lat, lon"),
    ],
)
def test_a_missing_column(column: str, complaint: str, tmp_path: Path) -> None:
    assert refused(written(tmp_path / "x.csv", ROWS), "id", column).startswith(complaint)
    pq.write_table(pa.table({name: ["1"] for name in NAMES}), tmp_path / "x.parquet")
    assert refused(tmp_path / "x.parquet", "id", column).startswith(complaint)


def cut(path: Path) -> None:
    pq.write_table(pa.table({name: [str(number) for number in range(1000)] for name in NAMES}), path)
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (lambda path: None, "cannot be read (No such file or directory)"),
        (lambda path: path.mkdir(), "cannot be read (Is a directory)"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(b"\n\n"), "is empty"),
        (lambda path: path.write_text("id,name,lat,lon\n"), "has no rows"),
        (lambda path: path.write_text("id,name,lat,lon"), "has no rows"),
        (lambda path: path.write_text("x" * 200_000 + "\n1\n"), "line 1: is no row of names"),
        (lambda path: path.write_text("id,name,lat,lon\na,b,1,2\n", "utf-32"), "is no text in UTF-8 or UTF-16; save"),
        (
            lambda path: path.write_bytes("id,name,lat,lon\na,b,1,2\nc,d,1,2".encode("utf-16") + b"3"),
            "line 3: is not UTF-16; copy or download it again, or save it as UTF-8",
        ),
        (os.mkfifo, "is not a file; name a CSV or parquet file"),
        (cut, "cut short or damaged; copy or download it again"),
        (lambda path: path.write_bytes(b"PAR1PAR1"), "cut short or damaged"),
        (lambda path: path.write_bytes(b"PK\3\4 a spreadsheet"), "is a spreadsheet or a zip archive"),
        (lambda path: path.write_bytes(bytes(range(256))), "is no text"),
        (lambda path: path.write_text("id,name,lat,lat,lon\na,b,1,1,2\n"), "has the column 'lat' more than once"),
        (lambda path: path.write_text('id,name,lat,lon\na,"b,1,2\nc,d,1,2\n'), ""),
        (lambda path: path.write_text('name,lat,lon,id\nb,1,2,a\nc,1,2,"c\nd,1,2,d\n'), ""),
        (lambda path: path.write_text('name,lat,lon,id\nb,1,2,a\nd,1,2,"d'), ""),
        (lambda path: path.write_text('name,lat,lon,id\nb,1,2,"a""\nd,1,2,d'), ""),
        (
            lambda path: path.write_bytes("id,name,lat,lon\na,b,1,2\nc,Nîmes,1,2\n".encode("latin-1")),
            "line 3, column name: b'N\\xeemes' is not UTF-8; save the table as UTF-8",
        ),
    ],
)
def test_what_is_no_table(write: Callable[[Path], object], complaint: str, tmp_path: Path) -> None:
    write(tmp_path / "x.csv")
    table = tmp_path / "x.csv"
    if complaint:
        assert refused(table).startswith(complaint)
        return
    with pytest.raises(GeorankerError, match=r"x\.csv.*(quote|cells)"):
        TableFile(table, NAMES).usable("error", tmp_path)


def test_packed_files_that_are_cut_short(tmp_path: Path) -> None:
    file = written(tmp_path / "x.csv.gz", ROWS * 1000)
    file.write_bytes(file.read_bytes()[:-40])
    assert refused(file).startswith("cannot be read")
    assert refused(file).endswith("; copy or download it again")


@pytest.mark.parametrize(
    ("id_", "reason"),
    [
        ("a\nb", "holds a line break; a quote before it may be stray"),
        ("a\rb", "holds a line break"),
        ("a\0b", "holds a NUL"),
    ],
)
def test_ids_that_name_no_photo(id_: str, reason: str, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a", id_, "b\n"]}), tmp_path / "x.parquet")
    table = TableFile(tmp_path / "x.parquet", ["id"])
    table.ids("id")
    with pytest.raises(GeorankerError, match=rf"row 1, column id: '.*' {reason}"):
        table.usable("error", tmp_path)


@pytest.mark.parametrize("column", ["id", "lists", "deep"])
def test_text_of_parquet_that_is_not_utf_8(column: str, tmp_path: Path) -> None:
    texts = [f"Nimes{row}" for row in range(9)]
    columns = {"id": texts, "lists": [[text] * 2 for text in texts], "deep": [[{"x": [text]}] for text in texts]}
    pq.write_table(pa.table({column: columns[column]}), tmp_path / "x.parquet", compression="none")
    data = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(data.replace(b"Nimes6", b"N\xeemes6"))
    complaint = f"row 6, column {column}: is not UTF-8; write the table again as UTF-8"
    assert refused(tmp_path / "x.parquet", column) == complaint
    (tmp_path / "x.parquet").write_bytes(data.replace(column.encode(), b"\xff" * len(column)))
    assert refused(tmp_path / "x.parquet", column).startswith("cut short or damaged")


def test_a_column_of_more_text_than_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "x.parquet")
    many = pa.chunked_array([pa.array(["x" * (1 << 26)])] * 40)  # of one memory
    monkeypatch.setattr(tables, "read_parquet", lambda path, columns: pa.table({"id": many}))
    with pytest.raises(
        GeorankerError, match=r"x\.parquet, column id: is too large to be read at once; split the table"
    ):
        TableFile(tmp_path / "x.parquet", ["id"])


def test_truths_are_no_numbers(tmp_path: Path) -> None:
    pq.write_table(pa.table({"lat": [True, None]}), tmp_path / "x.parquet")
    table = TableFile(tmp_path / "x.parquet", ["lat"])
    table.degrees("lat", 90.0)
    with pytest.raises(GeorankerError, match=r"row 0, column lat: True is not a number"):
        table.usable("error", tmp_path)


def test_only_the_columns_that_are_asked_for_matter(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,id2,junk,junk,\na,b,\x07,',\n")
    assert TableFile(tmp_path / "x.csv", ["id"]).ids("id").to_pylist() == ["a"]
