"""The page as a file: what lies in it, how large it is, and what becomes of bad input."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from georanker.gazetteer import gazetteer
from georanker.report.html_report import write_report
from georanker.report.predictions import Predictions
from georanker.types import GeorankerError, Place
from tests.report.answers import NAUGHTY, PaintedPhotos, some_answers, written


def data_of(page: Path) -> dict[str, Any]:
    """Return what the page's script would read, with its numbers unpacked."""

    def unpacked(found: dict[str, Any]) -> Any:
        for key, kind in (("f4", "<f4"), ("i4", "<i4"), ("i2", "<i2")):
            if key in found:
                return np.frombuffer(base64.b64decode(found[key]), kind)
        return found

    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    read: dict[str, Any] = json.loads(text, object_hook=unpacked)
    return read


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    photos = PaintedPhotos()
    write_report(
        written(some_answers(60), folder / "answers.parquet"),
        folder / "report.html",
        photo_source=photos,
        gallery_source=photos,
    )
    return folder / "report.html"


def test_the_columns_are_the_answers(page: Path) -> None:
    data, rows = data_of(page), some_answers(60)
    predictions = Predictions.read(page.parent / "answers.parquet")
    assert data["ids"] == [row["photo_id"] for row in rows]
    assert np.allclose(data["answers"].reshape(-1, 2), predictions.places, atol=1e-5)
    assert np.allclose(data["errors"], predictions.errors_km, rtol=1e-6)
    width = data["width"]
    shown = data["candidates"].reshape(60, width, 2)
    assert np.allclose(shown[7, 3], [rows[7]["candidates"][3][name] for name in ("latitude", "longitude")], atol=1e-5)
    assert np.allclose(data["candidates_km"].reshape(60, width)[:, 0], predictions.errors_km, rtol=1e-6)
    best = [min(predictions.candidates_km[at : at + 12]) for at in predictions.starts[:-1]]
    assert np.allclose(data["nearest_km"], best, rtol=1e-6)
    order = np.argsort(predictions.errors_km).tolist()
    assert data["best"] == order[:6]
    assert data["worst"] == order[::-1][:6]
    assert data["examples"] == [order[at] for at in (3, 11, 18, 26, 33, 41, 48, 56)]
    assert set(map(int, data["candidate_photos"])) == {*data["best"], *data["worst"], *data["examples"]}
    assert min(data["photos"]) >= 0
    assert all(uri.startswith("data:image/jpeg;base64,") for uri in data["thumbnails"])


def test_places_have_the_names_of_the_gazetteer(page: Path) -> None:
    data = data_of(page)
    for places, names in (("answers", "answer_names"), ("truths", "truth_names"), ("candidates", "candidate_names")):
        points = data[places].astype(float).reshape(-1, 2)[:50]
        told = [
            f"{km:,} km from {data['names'][number]}" if km else data["names"][number]
            for number, km in zip(data[names]["settlements"], data[names]["km"], strict=True)
        ]
        assert told[:50] == gazetteer().described([Place(*point) for point in points.tolist()])


def test_the_curve_passes_through_the_table(page: Path) -> None:
    curve = data_of(page)["curve"]
    predictions = Predictions.read(page.parent / "answers.parquet")
    at = [20, 100, 200]
    figures = predictions.figures([curve["km"][each] for each in at])
    for answer in ("retrieved", "ranked", "oracle"):
        shares = [value for name, value in figures[answer].items() if name.startswith("acc@")]
        assert [curve[answer][each] for each in at] == pytest.approx(shares, abs=1e-5)
        assert all(low <= high for low, high in zip(curve[answer], curve[answer][1:], strict=False))


def test_a_large_file_is_thinned_but_measured_whole(tmp_path: Path) -> None:
    rows = some_answers(300, candidates=2)
    path = written(rows, tmp_path / "answers.parquet")
    write_report(path, tmp_path / "all.html")
    write_report(path, tmp_path / "some.html", shown=20)
    whole, some = data_of(tmp_path / "all.html"), data_of(tmp_path / "some.html")
    assert 20 < len(some["ids"]) <= 20 + 6 + 6 + 8
    assert some["total"] == 300
    for kind in ("best", "worst", "examples"):
        assert [some["ids"][row] for row in some[kind]] == [whole["ids"][row] for row in whole[kind]]
    assert some["curve"] == whole["curve"]
    tables = [re.findall("<table>.*</table>", (tmp_path / name).read_text()) for name in ("all.html", "some.html")]
    assert tables[0] == tables[1] != []


def test_nothing_of_the_data_becomes_markup(tmp_path: Path) -> None:
    rows = some_answers(3)
    rows[0]["photo_id"] = NAUGHTY
    rows[1]["candidates"][0]["photo_id"] = NAUGHTY
    path = written(rows, tmp_path / "<b>.parquet")
    write_report(path, tmp_path / "report.html", title=f"</title>{NAUGHTY}", credit=NAUGHTY)
    text = (tmp_path / "report.html").read_text()
    assert NAUGHTY not in text
    assert "from <b>" not in text
    assert text.partition("<style>")[0].count("</title>") == 1
    assert text.count("<script") == text.count("</script>") == 3
    assert data_of(tmp_path / "report.html")["ids"][0] == NAUGHTY


def test_photos_that_cannot_be_read_are_left_blank_and_told(tmp_path: Path) -> None:
    rows = some_answers(12)
    rows[4]["photo_id"], rows[5]["photo_id"] = "gone/<1>", "gone/2"
    path, photos = written(rows, tmp_path / "answers.parquet"), PaintedPhotos()
    made = write_report(path, tmp_path / "report.html", photo_source=photos)
    assert set(made.faults) == {"gone/<1>", "gone/2"}
    data = data_of(tmp_path / "report.html")
    assert [row for row in range(12) if data["photos"][row] < 0] == [4, 5]
    assert "2 photos could not be read: photo gone/" in (tmp_path / "report.html").read_text()


def test_photos_keep_to_their_budget(tmp_path: Path) -> None:
    path, photos = written(some_answers(200), tmp_path / "answers.parquet"), PaintedPhotos()
    write_report(path, tmp_path / "report.html", photo_source=photos, gallery_source=photos, photo_megabytes=0.11)
    data = data_of(tmp_path / "report.html")
    spent = sum(map(len, data["thumbnails"]))
    assert 0.11e6 <= spent < 0.11e6 + len(data["thumbnails"][0]) * 2
    cases = {*data["best"], *data["worst"], *data["examples"]}
    assert all(data["photos"][row] >= 0 for row in cases)  # they come first
    assert min(data["photos"]) == -1


def test_without_truths_there_are_no_figures(tmp_path: Path) -> None:
    rows = [row | {"true_latitude": None, "true_longitude": None} for row in some_answers(9)]
    write_report(written(rows, tmp_path / "answers.parquet"), tmp_path / "report.html")
    data, text = data_of(tmp_path / "report.html"), (tmp_path / "report.html").read_text()
    assert data["curve"] is None
    assert data["worst"] == data["best"] == []
    assert len(data["examples"]) == 8
    assert "<table>" not in text
    assert "9 photos of unknown place; 12 candidates each, from answers.parquet" in text


def test_one_answer_and_no_score(tmp_path: Path) -> None:
    rows = some_answers(1, candidates=1)
    rows[0]["candidates"][0]["score"] = None
    write_report(written(rows, tmp_path / "answers.parquet"), tmp_path / "report.html")
    data = data_of(tmp_path / "report.html")
    assert data["best"] == data["examples"] == [0]
    assert data["worst"] == []
    assert np.isnan(data["candidate_scores"]).all()
    assert "1 photo; 1 candidate each" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("photos", [2, 7, 11])
def test_few_photos_are_not_both_far_and_near(photos: int, tmp_path: Path) -> None:
    write_report(written(some_answers(photos), tmp_path / "answers.parquet"), tmp_path / "report.html")
    data = data_of(tmp_path / "report.html")
    assert sorted([*data["best"], *data["worst"]]) == list(range(photos))


def test_the_same_answers_make_the_same_page(page: Path, tmp_path: Path) -> None:
    photos = PaintedPhotos()
    again = tmp_path / "report.html"
    write_report(page.parent / "answers.parquet", again, photo_source=photos, gallery_source=photos)
    assert again.read_bytes() == page.read_bytes()


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    path = written(some_answers(1), tmp_path / "answers.parquet")
    for out in (path / "report.html", tmp_path):  # below a file; in place of a folder
        with pytest.raises(GeorankerError, match="cannot be written") as error:
            write_report(path, out)
        assert "\n" not in str(error.value)
    assert [each.name for each in tmp_path.iterdir()] == ["answers.parquet"]
