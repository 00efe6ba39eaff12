"""A folder of photos is a benchmark: truth from EXIF, splits from folders."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

import pytest
from PIL import Image

from georanker.data.photo_folder import PhotoFolder
from georanker.retrievers.photo_collator import PhotoCollator
from georanker.types import GeorankerError
from tests.photos_with_gps import photo_at, picture

PLACES = {"a/paris.jpg": (48.8584, 2.2945), "a/b/sydney.JPEG": (-33.856784, 151.215297), "rio.png": (-22.95, -43.21)}


def folder(root: Path, photos: dict[str, bytes]) -> Path:
    for name, data in photos.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    formats = {".png": "PNG"}
    return folder(
        tmp_path / "photos",
        {name: photo_at(*place, formats.get(Path(name).suffix, "JPEG")) for name, place in PLACES.items()}
        | {"unknown.webp": picture("WEBP"), "notes.txt": b"text", ".hidden.jpg": b"", ".trash/1.jpg": b""},
    )


def test_all_photos_are_test_and_their_places_are_known(photos: Path) -> None:
    data = PhotoFolder(photos)
    found = {photo.id: photo.place for photo in data.photos("test")}
    assert list(found) == ["a/b/sydney.JPEG", "a/paris.jpg", "rio.png", "unknown.webp"]
    assert found.pop("unknown.webp") is None
    for name, place in found.items():
        assert place is not None
        assert (place.latitude, place.longitude) == pytest.approx(PLACES[name], abs=1e-9)
    assert [photo.load().size for photo in data.photos("test")] == [(24, 16)] * 4


def test_named_folders_are_splits(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    split = photos.rename(photos.with_name("val"))
    root = folder(split.parent / "root", {"gallery/x/1.jpg": photo_at(1, 2), "train/2.jpg": picture()})
    split.rename(root / "val")
    data = PhotoFolder(root)
    assert [photo.id for photo in data.photos("gallery")] == ["gallery/x/1.jpg"]
    assert [photo.id for photo in data.photos("train")] == ["train/2.jpg"]
    assert len(data.photos("val")) == 4
    assert caplog.text == ""
    with pytest.raises(GeorankerError, match=r"no split 'test'; it has gallery, train, val$"):
        data.photos("test")
    (root / "lost.jpg").write_bytes(picture())
    with caplog.at_level(logging.WARNING, "georanker"):
        assert len(PhotoFolder(root).photos("val")) == 4
    assert "1 photos lie outside of the folders gallery, train, val" in caplog.text
    assert "lost.jpg" in caplog.text


def test_places_that_cannot_be_are_unknown_and_counted(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder(photos, {"0.jpg": photo_at(0, 0), "broken.jpg": b"text"})
    with caplog.at_level(logging.WARNING, "georanker"):
        data = PhotoFolder(photos)
        found = {photo.id: photo.place for photo in data.photos("test")}
        data.photos("test")
    assert found["0.jpg"] is None
    assert found["broken.jpg"] is None
    (record,) = caplog.records
    assert "the place of 2 of 6 photos is taken as unknown, the first is 0.jpg: EXIF GPS is 0, 0" in record.message


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(GeorankerError, match="not there"):
        PhotoFolder(tmp_path / "nowhere")
    with pytest.raises(GeorankerError, match="holds no photo"):
        PhotoFolder(folder(tmp_path, {"notes.txt": b"text"})).photos("test")


@pytest.mark.parametrize("workers", [0, 1])
def test_loaders_give_them(photos: Path, workers: int) -> None:
    data = PhotoFolder(photos, batch_size=4, num_workers=workers, collator=PhotoCollator(8))
    loader = data.predict_dataloader()
    assert not isinstance(loader, list)
    (batch,) = loader
    assert batch.photo_ids == ("a/b/sydney.JPEG", "a/paris.jpg", "rio.png", "unknown.webp")
    assert batch.places[1].tolist() == pytest.approx(PLACES["a/paris.jpg"])
    assert batch.places[3].isnan().all()


def test_photos_travel(photos: Path) -> None:
    listed = PhotoFolder(photos).photos("test")
    travelled = pickle.loads(pickle.dumps(listed))
    assert travelled == listed
    assert travelled[0].load().tobytes() == listed[0].load().tobytes()


def test_paths_are_no_settings(photos: Path) -> None:
    assert "root" not in PhotoFolder(photos).hparams


def test_photos_of_other_kinds_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.jpg")
    (tmp_path / "b.HEIC").write_bytes(b"")
    assert [photo.id for photo in PhotoFolder(tmp_path).photos("test")] == ["a.jpg"]
    assert "1 photos are left out, the first is b.HEIC; convert them" in caplog.text


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "caf\udce9.jpg")
    with pytest.raises(GeorankerError, match=r"the name 'caf\\udce9\.jpg' is not UTF-8; rename it$"):
        PhotoFolder(tmp_path).photos("test")


def test_links_that_are_not_followed_are_told(photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder(tmp_path / "elsewhere", {"1.jpg": picture(), "b/2.jpg": picture()})
    (photos / "out.jpg").symlink_to(tmp_path / "elsewhere/1.jpg")
    (photos / "c").symlink_to(tmp_path / "elsewhere/b")
    (photos / "in.jpg").symlink_to(photos / "rio.png")
    (photos / "round.txt").symlink_to(photos / "round.txt")
    (photos / "round.jpg").symlink_to(photos / "round.jpg")
    with caplog.at_level(logging.WARNING, "georanker"):
        found = [photo.id for photo in PhotoFolder(photos).photos("test")]
    assert "in.jpg" in found
    assert not {"out.jpg", "c/2.jpg"} & set(found)
    assert f"2 links to folders or out of it are not followed, the first is {photos / 'c'}" in caplog.text
