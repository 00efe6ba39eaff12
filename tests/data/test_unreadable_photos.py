"""With `on_bad_rows: skip` photos that a retriever cannot read, or whose place is not known, are left out and told."""

from __future__ import annotations

import csv
import io
import logging
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from georanker.candidates import CandidatesFile
from georanker.cli import main, run_trainer
from georanker.data.geo_table import GeoTable
from georanker.data.photo_folder import PhotoFolder
from georanker.data.placed import placed
from georanker.retrievers.gallery import Gallery
from georanker.retrievers.photo_collator import PhotoCollator
from georanker.types import GeorankerError, NothingReadError
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
    assert reported().keys() == {"gallery-3", "gallery-4", "gallery-23"}
    assert reported("all/unreadable_photos.csv").keys() == (MISSING | BROKEN) - reported().keys()
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
    assert "3 photos could not be read and are left out; see unreadable_photos.csv" in caplog.text
    Path("photos/gallery-4.jpg").write_bytes(picture())
    main(command)
    assert reported().keys() == {"gallery-3", "gallery-23"}
    for number in (3, 23):
        Path(f"photos/gallery-{number}.jpg").write_bytes(picture())
    main(command)
    assert not Path("unreadable_photos.csv").exists()
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
    assert "of 20 photos one after another none can be read" in line


def test_a_retriever_learns_from_the_others(world: Path) -> None:
    settings = [
        f"--model={ROOT / 'configs/retriever/contrastive.yaml'}",
        f"--trainer={ROOT / 'configs/trainer/cpu.yaml'}",
    ]
    settings += ["--trainer.logger=false", "--trainer.callbacks=null", "--trainer.max_epochs=2"]
    tables = ["--data.retriever_train=gallery.csv", "--data.val=test.csv", "--data.batch_size=6"]
    trainer = run_trainer(["fit", *settings, *data(), *tables, "--trainer.default_root_dir=run"]).trainer
    assert trainer.global_step == 8
    assert trainer.callback_metrics["val/loss"].isfinite()
    assert reported("run/unreadable_photos.csv").keys() == {"gallery-3", "gallery-4", "gallery-23", "test-0"}


def test_training_does_not_pass_over_a_whole_batch(world: Path) -> None:
    data_ = GeoTable(
        retriever_train=Path("gallery.csv"), photos=Path("photos"), on_bad_rows="skip", batch_size=1,
        collator=PhotoCollator(8),
    )  # fmt: skip
    with pytest.raises(NothingReadError, match="of 1 photos one after another none can be read"):
        list(data_.train_dataloader())


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
