"""`georanker check-data` walks through any benchmark, and its exit status says whether something is wrong."""

from __future__ import annotations

import csv
import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from georanker.candidate_table import CandidateTable
from georanker.cli import main
from georanker.data.geo_table import GeoTable
from georanker.data.photo_folder import PhotoFolder
from georanker.data.table_photos import TablePhotos
from georanker.types import GeorankerError, Photo
from georanker.verbs.check_data import check_data
from tests.conftest import ROOT
from tests.photos_with_gps import photo_at, picture
from tests.planted_world import CANDIDATES, Planted, World, checked, planted_world, table


@pytest.fixture
def world() -> World:
    return planted_world()


def test_one_id_in_two_stores_is_no_leak_if_the_bytes_differ(
    world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(picture("PNG", grey=int(name[0])))
    other = World({}, {}, [], {"1.png": picture("PNG", grey=9), "2.png": picture("PNG", grey=2)})

    class TwoStores(PhotoFolder):
        def own_lists(self, split: str) -> CandidateTable | None:
            world.list_ids, world.truth = ["1.png", "2.png"], np.full((2, 2), np.nan)
            world.candidate_ids = [name for name in world.list_ids for _ in range(CANDIDATES)]
            world.candidate_places, world.countries = np.ones((10, 2)), [""] * 10
            return CandidateTable(table(world), "world", self.photo_source, other)

    data = TwoStores(tmp_path)
    data.gallery_source = other
    with pytest.raises(SystemExit):
        check_data(data)
    said = capsys.readouterr().out
    assert f"candidates that are the query's own photo: {CANDIDATES}" in said, "2.png alone has the query's bytes"


def test_a_sample_reads_a_few_and_misses_none_that_is_not_there(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    del world.data["train/5"]
    asked: list[str] = []
    whole = World.read

    class Counted(World):
        def read(self, photo_id: str) -> bytes:
            asked.append(photo_id)
            return whole(self, photo_id)

    world.__class__ = Counted
    headings, _ = checked(world, capsys, photos=3)
    assert headings == {"train  photos that are missing: 1"}
    assert len(asked) <= 3 * 4


@pytest.mark.parametrize("experiment", ["blue_marble_demo", "blue_marble_demo_retriever"])
def test_blue_marble_is_clean(experiment: str, small_data: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    config = ROOT / f"configs/experiment/{experiment}.yaml"
    main(["check-data", f"--config={config}", *small_data, "--photos=8"])
    said = capsys.readouterr().out
    assert "nothing is wrong" in said
    assert re.search(r"^gallery +96 +96 +8 *$", said, re.MULTILINE)
    assert re.search(r"^test +24 +24 +8 +24 +192 +\d+$", said, re.MULTILINE)


def test_a_folder_of_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for at in range(4):
        (tmp_path / f"{at}.jpg").write_bytes(photo_at(10.0 * at + 1, -20.0, grey=at))
    command = ["check-data", f"--data={ROOT / 'configs/data/photo_folder.yaml'}", f"--data.root={tmp_path}"]
    main(command)
    assert "nothing is wrong" in capsys.readouterr().out
    (tmp_path / "broken.jpg").write_bytes(b"text")
    (tmp_path / "zero.jpg").write_bytes(photo_at(0, 0))
    with pytest.raises(SystemExit) as exit_:
        main(command)
    assert exit_.value.code == 1
    said = capsys.readouterr().out
    assert "test  photos that are broken: 1" in said
    assert "test  photos whose EXIF GPS cannot be: 1" in said


def test_the_config_of_a_run_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "1.jpg").write_bytes(photo_at(1, 2))
    trainer = "seed_everything: 3\ntrainer: {max_epochs: 2}\nmodel: {class_path: Ranker}\nckpt_path: null\n"
    data = f"data: {{class_path: PhotoFolder, init_args: {{root: {tmp_path}}}}}\nweights_only: true\n"
    (tmp_path / "config.yaml").write_text(trainer + data)
    main(["check-data", f"--config={tmp_path / 'config.yaml'}"])
    assert "nothing is wrong" in capsys.readouterr().out


def test_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check-data", "--data=PhotoFolder", f"--data.root={tmp_path}"])
    assert "holds no photo" in capsys.readouterr().err


def test_splits_that_are_not_there(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        check_data(Planted(world), splits=["test", "val"])
    assert "val  splits that cannot be opened: 1\n    there is no split val" in capsys.readouterr().out
    world.ids = {"another": []}
    with pytest.raises(GeorankerError, match="there is no split test"):
        check_data(Planted(world))


def test_what_the_data_warns_of_is_wrong(
    world: World, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    class Skipping(Planted):
        def photos(self, split: str) -> Sequence[Photo]:
            if split == "train":
                logging.getLogger("georanker").warning("train.csv: 3 of 13 rows are skipped")
            return super().photos(split)

    with pytest.raises(SystemExit):
        check_data(Skipping(world))
    assert "train  warnings when it was opened: 1\n    train.csv: 3 of 13 rows are skipped" in capsys.readouterr().out
    assert caplog.text == "", "told once"
    logging.getLogger("georanker").warning("afterwards")
    assert "afterwards" in caplog.text


def test_splits_that_cannot_be_opened(world: World, capsys: pytest.CaptureFixture[str]) -> None:

    class Unreadable(Planted):
        def photos(self, split: str) -> Sequence[Photo]:
            if split == "val":
                raise GeorankerError("val.csv, row 17, LAT: latitude 139.7 is outside [-90, 90] degrees")
            return super().photos(split)

    with pytest.raises(SystemExit):
        check_data(Unreadable(world))
    said = capsys.readouterr().out
    assert "val  splits that cannot be opened: 1" in said
    assert "row 17" in said
    assert "swapped columns" in said


def test_all_bad_rows_are_told_in_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = {"LAT": ["abc", "95", "", "1", "1", "1", "1", "1"], "LON": ["2"] * 3 + ["-400", "181"] + ["2"] * 3}
    lists = ["[(1, 2)]"] * 5 + ["[(1, 2", "[(1, 2], 3", "[(1, 2)]"]
    rows = zip(*cells.values(), lists, strict=True)
    lines = [f'{at},{latitude},{longitude},"{listed}"' for at, (latitude, longitude, listed) in enumerate(rows)]
    (tmp_path / "t.csv").write_text("\n".join(["id,LAT,LON,where", *lines, "8,1,2"]))
    columns = ["--data.latitude_column=LAT", "--data.longitude_column=LON", "--data.candidate_places_column=where"]
    tables = [f"--data.{split}={tmp_path / 't.csv'}" for split in ("train", "test")]
    with pytest.raises(SystemExit):
        main(["check-data", "--data=GeoTable", *tables, *columns])
    said = capsys.readouterr().out
    assert re.findall(r"^train  (.*)$", said, re.MULTILINE) == [
        "rows whose LAT is not a number: 1",
        "rows whose LAT is outside [-90, 90] degrees: 1",
        "rows whose LAT is empty: 1",
        "rows whose LON is outside [-180, 180] degrees: 2",
        "rows whose where is not a literal that can be read: 2",
        "rows, each of which has 3 cells, the first line 4: 1",
    ]
    assert "line 8, column where: '[(1, 2], 3' is not a literal that can be read (a ] that closes nothing)" in said
    assert "test  " not in said, "the splits share a table, which is told once"


def test_the_photos_of_a_table_stay_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A gallery has millions; as objects they would take gigabytes."""

    def objects(self: TablePhotos) -> None:
        raise AssertionError("the photos of a whole table are made")

    monkeypatch.setattr(TablePhotos, "__iter__", objects)
    (tmp_path / "t.csv").write_text("id,latitude,longitude,land\na,1,2,\nb,0,0,Fiji\na,3,4,Fiji\n")
    with pytest.raises(SystemExit):
        main(["check-data", "--data=GeoTable", f"--data.test={tmp_path / 't.csv'}", "--data.country_column=land"])
    said = capsys.readouterr().out
    assert "test  photos at 0, 0: 1\n    b\n" in said
    assert "test  ids of more than one photo: 1\n    a: 2 times\n" in said
    assert "kinds of mistakes: 2" in said


def test_photos_must_be_a_number_of_photos(world: World) -> None:
    with pytest.raises(GeorankerError, match="photos is -1"):
        check_data(Planted(world), photos=-1)


def test_photos_that_are_left_out_are_told_without_a_gallery(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test").mkdir()
    for at in range(2):
        (tmp_path / f"test/{at}.jpg").write_bytes(photo_at(10.0 * at, 20.0, grey=60 * at + 60))
    (tmp_path / "test/2.heic").write_bytes(b"of a phone")
    with pytest.raises(SystemExit):
        main(["check-data", "--data=PhotoFolder", f"--data.root={tmp_path}"])
    assert "1 photos are left out, the first is 2.heic" in " ".join(capsys.readouterr().out.split())


def test_a_table_that_splits_share_is_decoded_once(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ids["retriever_train"], world.places["retriever_train"] = world.ids["gallery"], world.places["gallery"]
    asked: Counter[str] = Counter()
    whole = World.read

    def read(self: World, photo_id: str) -> bytes:
        asked[photo_id] += 1
        return whole(self, photo_id)

    monkeypatch.setattr(World, "read", read)
    checked(world, capsys)
    assert set(asked.values()) == {1}
    assert len(asked) > 100


def test_all_that_is_wrong_is_written(world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for number in range(9):
        del world.data[f"train/{number}"]
    with pytest.raises(SystemExit):
        check_data(Planted(world), out=tmp_path / "faults.csv")
    assert "and 4 more" in capsys.readouterr().out
    with (tmp_path / "faults.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["split", "mistake", "row", "fix"]
    assert [row[2] for row in rows] == [f"photo train/{number}: not there" for number in range(9)]


def test_no_splits_are_a_mistake(world: World) -> None:
    with pytest.raises(GeorankerError, match="splits is empty"):
        check_data(Planted(world), splits=[])


def test_brackets_in_a_column_are_no_markup(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.csv").write_text("id,lat [/deg],lon\na,1,2\nb,95,3\n")
    data = GeoTable(tmp_path / "x.csv", latitude_column="lat [/deg]", longitude_column="lon")
    with pytest.raises(SystemExit):
        check_data(data)
    assert "test  rows whose lat [/deg] is outside [-90, 90] degrees: 1" in capsys.readouterr().out
