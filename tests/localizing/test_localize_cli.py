"""`georanker localize`: a table, files that other programs read, and one line for each photo that fails."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from geopy.distance import geodesic
from PIL import Image

from georanker.cli import main
from georanker.gazetteer import gazetteer
from georanker.localizer import Localizer
from georanker.localizing.localized import Localized
from georanker.localizing.localized_page import write_html
from georanker.localizing.localized_photos import LocalizedPhotos
from georanker.localizing.places_out import write_geojson
from georanker.localizing.trust import Trust
from georanker.types import Candidate, Photo, Place, photo_formats
from tests.localizer_world import encoded, finished_run, tile
from tests.photos_with_gps import gps_block
from tests.report.test_html_report import data_of


@pytest.fixture(scope="module")
def run(small_run: Path) -> Path:
    return finished_run(small_run)


@pytest.fixture
def photos(small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two photos, the second of which says where it was taken, and the working folder beside it."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(encoded(tile(small_run)))
    exif = Image.Exif()
    exif[0x8825] = gps_block(-16.5, 179.5)
    (folder / "b é.png").write_bytes(encoded(tile(small_run, 1), exif=exif))
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_table(run: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "180")
    main(["localize", "photos/a.png", "photos", "photos/*.png", f"--run={run}"])
    told = capsys.readouterr()
    lines = told.out.splitlines()
    heads = [head for head in lines[0].split("  ") if head]
    assert [head.strip() for head in heads] == [
        "photo",
        "answer",
        "latitude, longitude",
        "how sure",
        "its own GPS",
        "away",
    ]
    (line,) = [line for line in lines if "photos/b" in line]
    assert "-16.5000, 179.5000" in line
    assert [line.split()[0] for line in lines if "photos/" in line] == ["photos/a.png", "photos/b"]
    assert "A guess: the photo is unlike those that the model knows" in told.out.replace("\n", " ")
    assert not told.err


def test_one_photo_is_shown_with_its_candidates(run: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["localize", f"--run={run}", "--top_k=3", "photos/b é.png"])
    told = capsys.readouterr().out
    (answer,) = Localizer.from_run(run).localize(["photos/b é.png"], top_k=3)
    assert f"{answer.place.latitude:.4f}, {answer.place.longitude:.4f}" in told
    assert "The photo says -16.5000, 179.5000" in told
    assert len([line for line in told.splitlines() if line.rstrip().endswith("retrieved")]) == 3


def test_a_photo_that_fails_is_told_and_the_others_go_on(
    run: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "broken.png").write_bytes(b"nothing")
    with pytest.raises(SystemExit) as done:
        main(["localize", "photos", "gone.jpg", f"--run={run}", "--out=places.json"])
    assert done.value.code == 1
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        f"georanker: photo photos/broken.png: not an image; {', '.join(photo_formats())} are read",
        "georanker: photo gone.jpg: cannot be read (No such file or directory)",
        "georanker: 2 of 4 photos could not be read",
    ]
    written = json.loads(Path("places.json").read_text())
    assert [each["photo"] for each in written["photos"]] == ["photos/a.png", "photos/b é.png"]
    with pytest.raises(SystemExit):
        main(["localize", "gone.jpg", f"--run={run}", "--out=none.html"])
    assert not Path("none.html").exists()


def test_an_argument_that_names_nothing_is_told_and_the_others_go_on(
    run: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        main(["localize", "*.nope", "photos", "https://x.org/a.jpg", f"--run={run}", "--out=some.json"])
    assert done.value.code == 1
    first, second, last = capsys.readouterr().err.splitlines()
    assert first.startswith("georanker: *.nope: no file matches")
    assert second.startswith("georanker: https://x.org/a.jpg: a URL")
    assert last == "georanker: 2 of 3 arguments name no photo"
    assert len(json.loads(Path("some.json").read_text())["photos"]) == 2


def test_a_name_that_would_steer_the_terminal_is_escaped(
    run: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "180")
    name = "a\x1b[2J\u202e\n\x07.png"
    (photos / name).write_bytes((photos / "a.png").read_bytes())
    with pytest.raises(SystemExit):
        main(["localize", f"photos/{name}", "photos/gone\x1bm.png", "none\x1b[1m/*.png", f"--run={run}"])
    told = capsys.readouterr()
    assert r"a\x1b[2J\u202e\n\x07.png" in told.out.replace("\n", "")
    assert "\x1b" not in told.out + told.err
    assert r"gone\x1bm.png: cannot be read" in told.err
    assert r"none\x1b[1m/*.png: no file matches" in told.err


@pytest.mark.parametrize("ending", ["json", "csv", "geojson", "html"])
def test_what_cannot_be_written_is_told_before_the_models_load(
    ending: str, run: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    for out in (f"file/x.{ending}", f"{'n' * 300}/x.{ending}"):
        with pytest.raises(SystemExit):
            main(["localize", "photos", "--run=nowhere", f"--out={out}"])
        assert f"{out}: cannot be written (" in capsys.readouterr().err


def test_a_name_that_is_no_text(run: Path, photos: Path) -> None:
    (photos / "b\udcff.png").write_bytes((photos / "a.png").read_bytes())
    main(["localize", "photos", f"--run={run}", "--out=some.csv"])
    assert len(Path("some.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["https://example.org/a.jpg"], "https://example.org/a.jpg: a URL, and nothing is fetched here"),
        (["empty"], "folder empty: there are no photos in it"),
        (["*.jpg"], "*.jpg: no file matches"),
        (
            ["photos", "--out=places.xml"],
            "places.xml: answers are written as .json, .csv, .geojson, .html; name a file",
        ),
        (["photos", "--out=empty"], "empty is a folder; name a file"),
        (["photos", "--top_k=0"], "top_k must be at least 1, not 0"),
        (["photos", "--run=nowhere"], "nowhere is not a finished run: no such folder"),
        (["photos", "--pretrained=empty"], "empty/localizer.yaml: cannot be read"),
        (["photos", "--gallery_photos=nowhere.zip"], "nowhere.zip: cannot be read"),
        ([], "the following arguments are required: photos"),
    ],
)
def test_mistakes(args: list[str], said: str, run: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    args = args if any(arg.startswith("--run") for arg in args) else [*args, f"--run={run}"]
    with pytest.raises(SystemExit) as done:
        main(["localize", *args])
    assert done.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not list(Path().glob("places*"))


def test_the_three_tables_agree(run: Path, photos: Path) -> None:
    for ending in ("json", "csv", "geojson"):
        main(["localize", "photos", f"--run={run}", f"--out=out/places.{ending}", "--top_k=4"])
    answers = Localizer.from_run(run).localize(str(photos), top_k=4)
    assert isinstance(answers, LocalizedPhotos)
    written = json.loads(Path("out/places.json").read_text(encoding="utf-8"))
    assert "GeoNames" in written["attribution"]
    named = [{**answer.to_dict(), "photo": f"photos/{Path(answer.photo.id).name}"} for answer in answers]
    assert written["photos"] == named
    with Path("out/places.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["photo"], float(row["latitude"]), float(row["score"])) for row in rows] == [
        (told["photo"], told["latitude"], told["score"]) for told in named
    ]
    assert rows[0]["true_latitude"] == rows[0]["error_km"] == ""
    assert float(rows[1]["error_km"]) == answers[1].error_km
    collection = json.loads(Path("out/places.geojson").read_text(encoding="utf-8"))
    points = [each for each in collection["features"] if each["geometry"]["type"] == "Point"]
    assert len(points) == 2 * 4 + 1
    assert points[0]["geometry"]["coordinates"] == pytest.approx(
        [answers[0].place.longitude, answers[0].place.latitude], abs=1e-6
    )
    assert points[0]["properties"]["kind"] == "answer"
    assert [points[0]["properties"]["name"]] == gazetteer().described([answers[0].place])
    assert points[-1]["geometry"]["coordinates"] == [179.5, -16.5]


def lines(truth: Place, answer: Place, path: Path) -> list[list[list[float]]]:
    """The pieces of the line that a GeoJSON file draws from a truth to an answer."""
    candidate = Candidate(answer)
    localized = Localized(Photo("x", truth), (candidate,), candidate, 1.0, trust=Trust(1.0), ranked=(candidate,))
    write_geojson(LocalizedPhotos([localized, replace(localized, photo=Photo("y"))]), path)
    collection = json.loads(path.read_text())
    assert collection["type"] == "FeatureCollection"
    (found,) = [each["geometry"] for each in collection["features"] if "LineString" in each["geometry"]["type"]]
    pieces: list[list[list[float]]] = found["coordinates"]
    return pieces if found["type"] == "MultiLineString" else [pieces]  # type: ignore[list-item]


def test_lines_are_cut_at_the_antimeridian(tmp_path: Path) -> None:
    path = tmp_path / "lines.geojson"
    assert lines(Place(10, 20), Place(-10, 40), path) == [[[20, 10], [40, -10]]]
    assert lines(Place(0, 170), Place(20, -170), path) == [[[170, 0], [180, 10]], [[-180, 10], [-170, 20]]]
    assert lines(Place(0, -170), Place(20, 160), path) == [[[-170, 0], [-180, 6.666667]], [[180, 6.666667], [160, 20]]]
    assert lines(Place(5, 180), Place(7, -180), path) == [[[-180, 5], [-180, 7]]]
    assert lines(Place(5, -180), Place(7, 170), path) == [[[180, 5], [170, 7]]]
    assert lines(Place(5, -170), Place(7, 180), path) == [[[-170, 5], [-180, 7]]]


def test_a_page(run: Path, photos: Path) -> None:
    main(["localize", "photos", f"--run={run}", "--out=places.html", "--top_k=1"])
    page, data = Path("places.html").read_text(encoding="utf-8"), data_of(Path("places.html"))
    answers = Localizer.from_run(run).localize(["photos/a.png", "photos/b é.png"], top_k=8)
    assert data["ids"] == ["photos/a.png", "photos/b é.png"]
    assert data["notes"] == [str(answer.trust) for answer in answers]
    assert data["lengths"].tolist() == [8, 8], "the page is made of all that were ranked, and not of those shown"
    nearest = min(
        geodesic((-16.5, 179.5), (each.place.latitude, each.place.longitude)).km for each in answers[1].candidates
    )
    assert data["nearest_km"][1] == pytest.approx(nearest)
    assert min(data["photos"]) >= 0
    numbers, km = data["answer_names"]["settlements"], data["answer_names"]["km"]
    told = [
        f"{far:,} km from {data['names'][at]}" if far else data["names"][at]
        for at, far in zip(numbers, km, strict=True)
    ]
    assert told == gazetteer().described([answer.place for answer in answers]), "one place has one name everywhere"
    assert all(min(data["candidate_photos"][str(row)]) >= 0 for row in range(2)), "from the run's own data"
    assert "Blue Marble" in page.rpartition("<footer")[2]
    assert "answers.parquet" not in page


def test_a_page_lists_all_photos_also_of_one_name(run: Path, photos: Path) -> None:
    for number in range(10):
        (photos / f"c{number}.png").write_bytes((photos / "a.png").read_bytes())
    answers = Localizer.from_run(run).localize("photos")
    assert isinstance(answers, LocalizedPhotos)
    same = [replace(answer, photo=replace(answer.photo, id="same")) for answer in answers]
    write_html(LocalizedPhotos(same), Path("places.html"))
    data = data_of(Path("places.html"))
    assert data["ids"] == ["same"] * 12
    assert data["examples"] == list(range(12))
    assert len(set(data["photos"].tolist())) == 12


def test_a_page_without_the_gallerys_photos(
    run: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("georanker.localizer.remembered_data", lambda checkpoint: {})
    main(["localize", "photos", f"--run={run}", "--out=places.html"])
    data = data_of(Path("places.html"))
    assert {number for found in data["candidate_photos"].values() for number in found} == {-1}
    assert not capsys.readouterr().err
    assert "could not be read" not in Path("places.html").read_text(encoding="utf-8")


def test_a_saved_folder_does_as_well(run: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Localizer.from_run(run).save_pretrained("saved")
    main(["localize", "photos/a.png", f"--run={run}"])
    expected = capsys.readouterr().out
    main(["localize", "photos/a.png", "--pretrained=saved"])
    assert capsys.readouterr().out == expected


def test_help_names_the_photos_and_is_light() -> None:
    done = subprocess.run([sys.executable, "-m", "georanker", "localize", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "photos [photos ...]" in done.stdout
    assert "files, folders or globs" in done.stdout
    code = "import sys, georanker, georanker.verbs.localize; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
