"""What is wrong with a whole CSV file is one error or warning, which names the line."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path

import pytest

from georanker.data import csv_files
from georanker.data.tables import TableFile
from georanker.types import GeorankerError
from tests.memory import traced

NAMES = ["id", "name", "lat", "lon"]


def refused(file: Path) -> str:
    with pytest.raises(GeorankerError) as raised:
        TableFile(file, NAMES)
    assert "\n" not in str(raised.value)
    return str(raised.value).removeprefix(f"{file}, ")


@pytest.mark.parametrize("end", ["\n", '"\n'], ids=["line", "cell of many lines"])
@pytest.mark.parametrize("wrong_row", ["", "of,another,length\n"])
@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_a_row_without_an_end_is_told_by_its_line(
    name: str, wrong_row: str, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_files, "_MAX_ROW_BYTES", 10_000)
    long = "é" * 12_000 if end == "\n" else '"' + "é\n" * 10_000
    text = f"id,name,lat,lon\na,b,1,2\n{wrong_row}c,{long}{end}"
    file = tmp_path / name
    file.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    line = 4 if wrong_row else 3
    assert refused(file) == (
        f"line {line}: begins a row of more than 10,000 bytes; end the quote or the line there, or leave such a row out"
    )


def test_the_memory_of_a_line_without_an_end_is_bounded(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "x.csv.gz", "wb", compresslevel=1) as file:
        file.write(b"id,name,lat,lon\n")
        for _ in range(300):
            file.write(b"x" * (1 << 20))
    with traced() as memory:
        assert refused(tmp_path / "x.csv.gz").startswith("line 2: begins a row of more than 16,777,216 bytes")
    assert memory()[1] < 150e6


def test_wrong_rows_in_another_encoding_are_one_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.csv").write_bytes("id,name,lat,lon\na,b,1,2\nNîmes,1\n".encode("latin-1"))
    assert refused(tmp_path / "x.csv").startswith("line 3, column id: b'N\\xeemes' is not UTF-8")
    assert capfd.readouterr() == ("", "")


SWALLOWED = 'a,b,1,2\nc,"d,1,2\ne,f,1,2\ng,h"",1,2\ni,j",1,2\n'


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (SWALLOWED, 3),
        ("\n\n" + SWALLOWED, 5),
        ('a,"two\nlines, and a comma",1,2\n', None),
        ('a,"Paris, with Ann, Bob, and Carl,\nand more, and more, of it",1,2\n', None),
        ('a,"x",1,2\rb,"y,1,2\rc,d,3,4\re",1,2\r', 3),
        ('\na,"b",1,2\n\nc,"d, ""e"", f, g",1,2\n', None),
    ],
)
def test_a_cell_that_holds_whole_rows_is_told(
    rows: str, line: int | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "x.csv").write_bytes(("id,name,lat,lon\n" + rows).encode())
    with caplog.at_level(logging.WARNING):
        TableFile(tmp_path / "x.csv", NAMES)
    fault = "a quoted cell seems to hold whole rows, which a stray quote may have swallowed; see that"
    assert len(caplog.messages) == (line is not None)
    assert all(message.startswith(f"{tmp_path / 'x.csv'}, line {line}: {fault}") for message in caplog.messages)
