"""With `on_bad_rows: skip` photos that a retriever cannot read, or whose place is not known, are left out and told."""

from __future__ import annotations

import csv
import io
import logging
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from georanker.candidates import CandidatesFile, write_candidates
from georanker.cli import main, run_trainer
from georanker.data.geo_table import GeoTable
from georanker.data.photo_folder import PhotoFolder
from georanker.data.placed import placed
from georanker.retrievers.gallery import Gallery
from georanker.retrievers.photo_collator import PhotoCollator
from georanker.stores.folder_store import FolderStore
from georanker.types import Batch, Candidate, CandidateList, GeorankerError, Photo, Place
from tests.conftest import ROOT
from tests.photos_with_gps import photo_at, picture
from tests.test_bad_input import said

SPLITS = {"gallery": 24, "train": 11, "test": 7}
MISSING = {"gallery-3", "gallery-23", "train-8", "test-0"}
BROKEN = {"gallery-4", "train-2", *(f"train-{number}" for number in (4, 5, 6, 7, 9, 10))}  # of train two whole batches
BATCH = 4
CONFIGS = {"model": "retriever/contrastive", "trainer": "trainer/cpu"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tables of photos, some of which are missing and some broken, and tables of the good ones alone."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(5)
    (tmp_path / "photos").mkdir()
    for split, count in SPLITS.items():
        rows = []
        for number in range(count):
            photo_id, file = f"{split}-{number}", io.BytesIO()
            Image.fromarray(random.integers(0, 255, (40, 40, 3), np.uint8)).save(file, "JPEG")
            if photo_id not in MISSING:
                broken = photo_id in BROKEN
                (tmp_path / f"photos/{photo_id}.jpg").write_bytes(file.getvalue()[: 200 if broken else None])
            rows.append([photo_id, random.uniform(-60, 60), random.uniform(-180, 180)])
        for name, kept in ((split, rows), (f"good-{split}", [r for r in rows if r[0] not in MISSING | BROKEN])):
            with (tmp_path / f"{name}.csv").open("w", newline="") as table:
                csv.writer(table).writerows([["id", "latitude", "longitude"], *kept])
    return tmp_path


def data(*splits: str, good: bool = False, workers: int = 0) -> list[str]:
    tables = [f"--data.{split}={'good-' if good else ''}{split}.csv" for split in splits]
    rest = [f"--data.num_workers={workers}", f"--data.batch_size={1 if good else BATCH}"]
    return ["--data=GeoTable", *tables, "--data.photos=photos", *rest, *([] if good else ["--data.on_bad_rows=skip"])]


def reported(path: str = "unreadable_photos.csv") -> dict[str, str]:
    with Path(path).open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["photo", "reason"]
    return dict(rows)


def test_without_it_the_first_stops_everything(
    world: Path, small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [each for each in data("gallery") if "skip" not in each]
    line = said(capsys, "index", *command, f"--retriever={small_run / 'retriever.ckpt'}", "--out=g")
    assert "photo 'gallery-3': not in folder photos" in line
    assert line.endswith("; leave such photos out with data.on_bad_rows=skip")
    assert not Path("g").exists()
    assert not Path("unreadable_photos.csv").exists()


@pytest.mark.parametrize("workers", [0, 2])
def test_from_index_to_lists(workers: int, world: Path, small_run: Path) -> None:
    retriever = f"--retriever={small_run / 'retriever.ckpt'}"
    for good in (False, True):
        name = "good" if good else "all"
        main(["index", *data("gallery", good=good, workers=workers), retriever, f"--out={name}-gallery"])
        with_gallery = [retriever, f"--gallery={name}-gallery", f"--out={name}"]
        main(["retrieve", *data("test", good=good, workers=workers), *with_gallery, "--splits=[test]"])
        shards = ["--photos_a_shard=1", "--top_k=4", "--negatives=1", "--duplicate_cosine=null"]
        main(["build-georanking", *data("train", good=good, workers=workers), *with_gallery, *shards])
    of_gallery = {"gallery-3", "gallery-4", "gallery-23"}
    assert reported("all-gallery.left_out/unreadable_photos.csv").keys() == of_gallery
    assert reported("all/unreadable_photos.csv").keys() == (MISSING | BROKEN) - of_gallery
    found, expected = Gallery.load(Path("all-gallery")), Gallery.load(Path("good-gallery"))
    assert len(found) == 21
    assert found.embeddings == pytest.approx(expected.embeddings, abs=1e-6)
    tables = [pq.read_table(f"{name}-gallery/places.parquet") for name in ("all", "good")]
    assert tables[0].equals(tables[1])
    for file in ("test.parquet", "train.parquet"):
        lists, good_lists = CandidatesFile(Path("all", file)), CandidatesFile(Path("good", file))
        assert [each.photo for each in lists] == [each.photo for each in good_lists]
        for one, two in zip(lists, good_lists, strict=True):
            assert {each.gallery_row for each in one.candidates} == {each.gallery_row for each in two.candidates}
    made = [pq.read_table(f"{name}/GeoRanking.parquet").column("img_id").to_pylist() for name in ("all", "good")]
    assert made[0] == made[1] == ["train-0", "train-1", "train-3"]


def test_what_is_mended_is_reported_no_more(world: Path, small_run: Path, caplog: pytest.LogCaptureFixture) -> None:
    command = ["index", *data("gallery"), f"--retriever={small_run / 'retriever.ckpt'}", "--out=g"]
    with caplog.at_level(logging.WARNING, "georanker"):
        main(command)
    report = "g.left_out/unreadable_photos.csv"
    assert f"3 photos could not be read and are left out; see {report}" in caplog.text
    Path("photos/gallery-4.jpg").write_bytes(picture())
    main(command)
    assert reported(report).keys() == {"gallery-3", "gallery-23"}
    for number in (3, 23):
        Path(f"photos/gallery-{number}.jpg").write_bytes(picture())
    main(command)
    assert not Path(report).exists()
    assert len(Gallery.load(Path("g"))) == 24


def test_a_folder_that_is_wrong_is_no_list_of_bad_photos(
    world: Path, small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for photo in Path("photos").iterdir():
        photo.rename(photo.with_stem(f"x{photo.stem}"))
    command = ["index", *data("gallery"), f"--retriever={small_run / 'retriever.ckpt'}", "--out=g"]
    with pytest.raises(SystemExit):
        main(command)
    *_, line = capsys.readouterr().err.splitlines()
    assert "; not one of 24 photos can be read" in line
    Path("photos/gallery-23.jpg").write_bytes(picture())
    main(command)
    assert len(Gallery.load(Path("g"))) == 1, "one at the end is enough"


def test_a_report_that_cannot_be_written_stops_nothing(
    world: Path, small_run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Path("g.left_out/unreadable_photos.csv").mkdir(parents=True)
    with caplog.at_level(logging.WARNING, "georanker"):
        main(["index", *data("gallery"), f"--retriever={small_run / 'retriever.ckpt'}", "--out=g"])
    assert "g.left_out/unreadable_photos.csv: does not tell which photos could not be read" in caplog.text
    assert len(Gallery.load(Path("g"))) == 21


@pytest.mark.parametrize("broken", [False, True])
def test_each_photo_is_read_once_where_some_are_missing(
    broken: bool, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Counter[str]()
    whole = Photo.load

    def load(photo: Photo) -> Image.Image:
        read[photo.id] += 1
        return whole(photo)

    monkeypatch.setattr(Photo, "load", load)
    data_ = GeoTable(Path("gallery.csv"), photos=Path("photos"), on_bad_rows="skip", batch_size=24)
    if not broken:
        Path("photos/gallery-4.jpg").write_bytes(picture())
    (batch,) = data_.photo_loader(data_.photos("test"), PhotoCollator(8))
    assert len(batch) == (21 if broken else 22)
    assert read["gallery-0"] == (3 if broken else 1)


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_retriever_learns_from_the_others(epochs: int, world: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = [
        f"--model={ROOT / 'configs/retriever/contrastive.yaml'}",
        f"--trainer={ROOT / 'configs/trainer/cpu.yaml'}",
    ]
    settings += ["--trainer.logger=false", "--trainer.callbacks=null"]
    tables = ["--data.retriever_train=gallery.csv", "--data.val=test.csv", "--data.batch_size=6"]
    tables += [f"--trainer.max_epochs={epochs}", "--trainer.num_sanity_val_steps=0"]
    trainer = run_trainer(["fit", *settings, *data(), *tables, "--trainer.default_root_dir=run"]).trainer
    assert trainer.global_step == 4 * epochs
    assert trainer.callback_metrics["val/loss"].isfinite()
    assert reported("run/unreadable_photos.csv").keys() == {"gallery-3", "gallery-4", "gallery-23", "test-0"}
    assert caplog.text.count("such photos are left out") == 2, "once for each split, not for each epoch"


def test_training_does_not_pass_over_a_whole_step(world: Path) -> None:
    strict = GeoTable(retriever_train=Path("gallery.csv"), photos=Path("photos"), on_bad_rows="skip", batch_size=1)
    strict.collator = PhotoCollator(8)
    with pytest.raises(GeorankerError, match=r"not one photo of a step of training can be read: set a larger data\."):
        list(strict.train_dataloader())


def test_other_processes_and_splits_add_to_the_report(world: Path) -> None:
    def loader(split: str) -> Iterator[Batch]:
        data_ = GeoTable(Path(f"{split}.csv"), photos=Path("photos"), on_bad_rows="skip", batch_size=BATCH)
        return iter(data_.photo_loader(data_.photos("test"), PhotoCollator(8)))

    at_the_same_time = [loader(split) for split in SPLITS]
    for _ in zip_longest(*at_the_same_time):
        pass
    assert reported().keys() == MISSING | BROKEN


def test_names_that_are_no_text_are_written(world: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "georanker")  # what is logged goes between processes of tests, as text
    strange = "caf\udce9.jpg"
    Path("odd").mkdir()
    for name in ("a.jpg", strange):
        Path("odd", name).write_bytes(picture() if name == "a.jpg" else b"text")
    store = FolderStore(Path("odd"))
    data_ = GeoTable(Path("test.csv"), photos=Path("photos"), on_bad_rows="skip")
    photos = [Photo(name, None, store) for name in ("a.jpg", strange)]
    assert [batch.photo_ids for batch in data_.photo_loader(photos, PhotoCollator(8))] == [("a.jpg",)]
    with Path("unreadable_photos.csv").open("rb") as file:
        assert b"caf\xe9.jpg" in file.read()
    assert [len(batch) for batch in data_.photo_loader(photos[:1], PhotoCollator(8))] == [1]


def test_shards_without_a_photo_are_shards(
    world: Path, small_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a job ends does not depend on where it was killed, or on which process meets a folder that is missing."""
    retriever = f"--retriever={small_run / 'retriever.ckpt'}"
    main(["index", *data("gallery"), retriever, "--out=gallery"])
    rows = Path("train.csv").read_text().splitlines() + [f"lost-{number},1,2" for number in range(30)]
    Path("train.csv").write_text("\n".join(rows))
    command = ["build-georanking", *data("train"), retriever, "--gallery=gallery", "--photos_a_shard=4", "--top_k=4"]
    main([*command, "--negatives=1", "--out=lists"])
    assert "38 photos that could not be read" in capsys.readouterr().out
    assert pq.read_metadata("lists/GeoRanking.parquet").num_rows == 3
    with monkeypatch.context() as torchrun:
        torchrun.setenv("WORLD_SIZE", "2")
        for rank in ("1", "0"):  # the first has shards without a photo alone
            torchrun.setenv("RANK", rank)
            main([*command, "--negatives=1", "--out=both"])
    for name in ("GeoRanking.parquet", "train.parquet", "unreadable_photos.csv"):
        assert Path("both", name).read_bytes() == Path("lists", name).read_bytes()
    Path("train.csv").write_text("\n".join([rows[0], *rows[-30:]]))
    for _ in range(2):
        line = said(capsys, *command, "--negatives=1", "--out=none")
        assert "not one of the 30 photos of train could be read; see data.photos, and delete none/train.parts" in line


def test_photos_without_a_list_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in "abc":
        (tmp_path / f"photos/{name}.jpg").parent.mkdir(exist_ok=True)
        (tmp_path / f"photos/{name}.jpg").write_bytes(photo_at(1, 2))
    photos = PhotoFolder(tmp_path / "photos").photos("test")
    lists = [CandidateList(photo, (Candidate(Place(1, 2)),)) for photo in photos[:2]]
    write_candidates(tmp_path / "test.parquet", lists, "", None)
    assert len(PhotoFolder(tmp_path / "photos", candidates=tmp_path).lists("test")) == 2
    assert "1 of 3 photos have no list; figures are of the others" in caplog.text


def test_photos_without_a_place_are_only_located(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a", "c"):
        (tmp_path / f"{name}.jpg").write_bytes(photo_at(1, 2))
    (tmp_path / "b.jpg").write_bytes(picture())
    strict, loose = PhotoFolder(tmp_path), PhotoFolder(tmp_path, on_bad_rows="skip")
    photos = strict.photos("test")
    with pytest.raises(GeorankerError, match=r"photo b\.jpg: its place is not known.*data\.on_bad_rows=skip"):
        placed(photos, "test", "error")
    with caplog.at_level(logging.WARNING, "georanker"):
        assert [photo.id for photo in placed(photos, "test", "skip")] == ["a.jpg", "c.jpg"]
    assert "1 of 3 photos of test are left out" in caplog.text
    with pytest.raises(GeorankerError, match=r"nor that of any other of test; it can only be used in `predict`"):
        placed(photos[1:2], "test", "skip")
    for each, count in ((strict, None), (loose, 2)):
        each.collator = PhotoCollator(8)
        assert sum(map(len, each.predict_dataloader())) == 3
        if count:
            assert sum(map(len, each.test_dataloader())) == count
