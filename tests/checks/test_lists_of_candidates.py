"""`georanker check-data` looks at lists of candidates as a ranker would meet them, also at wrong ones."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from georanker.candidates import write_candidates
from georanker.cli import main
from georanker.data.im2gps3k import IM2GPS3K
from georanker.verbs.check_data import check_data
from tests.conftest import ROOT
from tests.miniatures import write_miniatures
from tests.planted_world import Planted, World, planted_world


@pytest.fixture
def world() -> World:
    return planted_world()


@pytest.mark.parametrize(
    ("changes", "heading"),
    [
        ({"latitude": 139.7, "longitude": 35.7}, "candidates that are not on the Earth: 1"),
        ({"latitude": float("nan")}, "candidates that are not on the Earth: 1"),
        ({}, "empty lists: 1"),
    ],
)
def test_a_candidates_file_that_no_reader_takes(
    changes: dict[str, float],
    heading: str,
    small_run: Path,
    small_data: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lists = pq.read_table(small_run / "candidates/test.parquet")
    rows = lists.to_pylist()
    rows[3]["candidates"] = [{**rows[3]["candidates"][0], **changes}] if changes else []
    pq.write_table(pa.Table.from_pylist(rows, lists.schema), tmp_path / "test.parquet")
    experiment = ROOT / "configs/experiment/blue_marble_demo.yaml"
    with pytest.raises(SystemExit) as exit_:
        main(["check-data", f"--config={experiment}", *small_data, f"--data.candidates={tmp_path}", "--splits=[test]"])
    assert exit_.value.code == 1
    said = capsys.readouterr().out
    assert f"test  {heading}" in said
    assert "row 3 (photo test/24-3)" in said
    assert "test  files of lists that cannot be used: 1" in said
    assert ("were latitude and longitude swapped" in said) == (changes.get("latitude", 0) > 90)


def test_a_candidates_file_that_is_not_utf_8(
    small_run: Path, small_data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "test.parquet"
    pq.write_table(pq.read_table(small_run / "candidates/test.parquet"), file, compression="none")
    file.write_bytes(file.read_bytes().replace(b"test/24-3", b"\xffest/24-3"))
    experiment = ROOT / "configs/experiment/blue_marble_demo.yaml"
    with pytest.raises(SystemExit) as exit_:
        main(["check-data", f"--config={experiment}", *small_data, f"--data.candidates={tmp_path}", "--splits=[test]"])
    assert exit_.value.code == 1
    assert f"candidates file {file}: cannot be read (" in capsys.readouterr().out


def test_no_candidates_where_the_config_names_them(
    small_data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = ROOT / "configs/experiment/blue_marble_demo.yaml"
    with pytest.raises(SystemExit):
        main(["check-data", f"--config={experiment}", *small_data, f"--data.candidates={tmp_path}", "--photos=1"])
    assert "folders of candidates without candidates: 1" in capsys.readouterr().out


def test_lists_of_a_candidates_folder(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = Planted(world)
    lists = data.own_lists("test")
    assert lists is not None
    write_candidates(tmp_path / "test.parquet", lists, "abc", None)
    data.candidates = tmp_path
    check_data(data)
    assert re.search(r"^test +40 +40 +40 +40 +200 +\d+$", capsys.readouterr().out, re.MULTILINE)


def test_a_bad_gallery_row_does_not_hide_the_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mini = write_miniatures(tmp_path)
    text = mini.mp16_filtered.read_text().splitlines()
    rows = np.load(mini.im2gps3k_rows)
    header, cells = text[0].split(","), text[1 + int(rows[0, 0])].split(",")
    cells[header.index("LAT")] = "95"
    text[1 + int(rows[0, 0])] = ",".join(cells)
    mini.mp16_filtered.write_text("\n".join(text))
    data = IM2GPS3K(mini.im2gps3k_places365, gallery=mini.mp16_filtered, neighbours=mini.im2gps3k_rows)
    with pytest.raises(SystemExit):
        check_data(data, splits=["test"])
    assert re.search(r"^test +24 +24", capsys.readouterr().out, re.MULTILINE)


def test_lists_with_a_fault_are_cut_as_ever(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The oracle is that of the candidates that a ranker sees, also where one row of the file is wrong."""
    mini = write_miniatures(tmp_path)
    whole = IM2GPS3K(mini.im2gps3k, retrieved=20, generated=0).lists("test")
    write_candidates(tmp_path / "clean/test.parquet", whole, "", None)
    spoilt = pq.read_table(tmp_path / "clean/test.parquet")
    latitude = spoilt["latitude"].to_numpy().copy()
    latitude[5] = 95
    (tmp_path / "spoilt").mkdir()
    at = spoilt.schema.get_field_index("latitude")
    pq.write_table(spoilt.set_column(at, "latitude", pa.array(latitude)), tmp_path / "spoilt/test.parquet")
    told = []
    for folder in ("clean", "spoilt"):
        with pytest.raises(SystemExit):
            check_data(IM2GPS3K(mini.im2gps3k, candidates=tmp_path / folder), splits=["test"])
        told.append(re.findall(r"^test +\d+ +\d+ +\d+ +(\d+ +\d+)", capsys.readouterr().out, re.MULTILINE))
    assert told[0] == told[1] != []
