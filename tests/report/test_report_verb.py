"""`georanker report`, as a user calls it."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from georanker.cli import main
from tests.report.answers import PaintedPhotos, some_answers, written
from tests.report.test_html_report import data_of

DATA = """
data:
  class_path: georanker.data.BlueMarble
  init_args: {{gallery_size: 40, test_size: 24, cache: {cache}}}
"""


def said(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(["report", *args])
    assert exit_.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_run_brings_its_photos_and_its_radii(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "runs/mine"
    (run / "logs").mkdir(parents=True)
    rows = some_answers(24, candidates=3)
    for at, row in enumerate(rows):
        row["photo_id"] = f"test/24-{at}"
        for rank, candidate in enumerate(row["candidates"]):
            candidate["photo_id"] = f"gallery/40-{(at + rank) % 40}"
    written(rows, run / "predictions.parquet")
    (run / "logs/config.yaml").write_text(DATA.format(cache=tmp_path / "cache"))
    (run / "metrics.json").write_text(json.dumps({"ranked": {"acc@50km": 0.1, "acc@2500km": 0.5, "median_km": 1.0}}))
    out = tmp_path / "new/report.html"
    main(["report", str(run), f"--out={out}"])
    told = capsys.readouterr().out
    assert "% of photos within  50 km  2500 km  median km  mean km" in told
    assert "\nmine\n" in told
    assert told.endswith(f"  report       {out}\n")
    data = data_of(out)
    assert data["radii"] == [50, 2500]
    assert min(data["photos"]) >= 0
    assert all(min(photos) >= 0 for photos in data["candidate_photos"].values())
    assert "<title>mine</title>" in out.read_text()


def test_photos_from_an_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = some_answers(6, candidates=2)
    path = written(rows, tmp_path / "answers.parquet")
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for row in rows[1:]:
            member = tarfile.TarInfo(row["photo_id"])
            content = PaintedPhotos().read(row["photo_id"])
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    out = tmp_path / "report.html"
    main(["report", str(path), f"--out={out}", f"--photos={tmp_path / 'photos.tar'}"])
    assert [number >= 0 for number in data_of(out)["photos"]] == [False, *[True] * 5]
    told = capsys.readouterr().out
    assert "1 photo could not be read: " in told
    assert "query/0.jpg" in told


def test_what_users_get_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report.html"
    path = written(some_answers(2), tmp_path / "answers.parquet")

    def complaint(*args: str) -> str:
        return said(capsys, f"--out={out}", *args).removeprefix("georanker: ")

    gone = tmp_path / "gone.parquet"
    assert complaint(str(gone)) == f"{gone}: not there; `georanker predict` writes such a file"
    assert "holds no predictions.parquet" in complaint(str(tmp_path))
    (tmp_path / "predictions.parts").mkdir()
    assert "its answers are not finished" in complaint(str(tmp_path))
    assert "radii_km must be positive kilometres" in complaint(str(path), "--radii_km=[5, 1]")
    assert "shown must be at least 1, not 0" in complaint(str(path), "--shown=0")
    assert "gone.tar: cannot be read" in complaint(str(path), f"--photos={tmp_path / 'gone.tar'}")
    run = tmp_path / "run"
    run.mkdir()
    written(some_answers(2), run / "predictions.parquet")
    (run / "config.yaml").write_text("data: {class_path: georanker.data.BlueMarble, init_args: {tile_size: 0}}")
    assert "config.yaml: its data cannot be built" in complaint(str(run))
    (run / "config.yaml").write_text("data: {class_path: os.system, init_args: {command: touch ran}}")
    assert "config.yaml: its data cannot be built" in complaint(str(run))
    assert not out.exists()


def test_photos_that_are_named_more_than_their_ids(tmp_path: Path) -> None:
    rows = some_answers(3, candidates=2)
    for row in rows:
        row["photo_id"] = row["photo_id"].replace("/", "_")
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / f"photos/Rome_00024_{row['photo_id']}").write_bytes(PaintedPhotos().read("query/0.jpg"))
    path, out = written(rows, tmp_path / "answers.parquet"), tmp_path / "report.html"
    table = tmp_path / "im2gps_places365.csv"
    table.write_text("IMG_ID,LAT,LON\n" + "".join(f"{row['photo_id']},1,2\n" for row in rows))
    moved = [f"--out={out}", f"--photos={tmp_path / 'photos'}"]
    main(["report", str(path), *moved])
    assert max(data_of(out)["photos"]) == -1
    main(["report", str(path), *moved, "--data=IM2GPS", f"--data.table={table}"])
    assert min(data_of(out)["photos"]) >= 0
