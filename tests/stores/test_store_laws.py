"""What holds for every store: same ids and bytes, from any worker, and photos of every kind decode or are one error."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import tempfile
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from georanker.discovery import classes
from georanker.stores.archive_store import ArchiveStore
from georanker.stores.base import PhotoStore
from georanker.stores.open_store import open_store
from georanker.stores.zip_store import ZipStore
from georanker.types import GeorankerError, Photo
from tests.stores.archives import Members, jpeg, stores, tar

MEMBERS: Members = {f"{n % 3}/{n}.jpg": jpeg(n) for n in range(9)} | {"notes.txt": b"no photo", ".hidden.jpg": b""}
PHOTOS = sorted(name for name in MEMBERS if name[0].isdigit())


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> list[PhotoStore]:
    return stores(tmp_path_factory.mktemp("stores"), MEMBERS)


def test_all_kinds_are_here(same: list[PhotoStore]) -> None:
    assert {type(store) for store in same} == set(classes("georanker.stores")) & {
        kind for kind in classes("georanker.stores") if issubclass(kind, PhotoStore) and not kind.__abstractmethods__
    }


def test_ids_and_bytes(same: list[PhotoStore]) -> None:
    for store in same:
        assert sorted(store.ids()) == PHOTOS
        assert len(store) == len(store.ids()) == len(PHOTOS)
        for name in PHOTOS:
            other = (f"./{name}", name.replace("/", "//"), name.replace("/", "/./"), f"././{name[2:-4]}")
            for photo_id in (name, name.replace("/", "_"), name[:-4], name[2:], name[2:-4], *other):
                assert photo_id in store
                assert store.read(photo_id) == MEMBERS[name]
        assert store.read("notes.txt") == b"no photo"
        assert not [photo_id for photo_id in ("gone.jpg", "10", "0/1", "", ".", "./", 3, None) if photo_id in store]


def test_a_missing_photo_names_itself_the_store_and_what_is_there(same: list[PhotoStore]) -> None:
    for store in same:
        with pytest.raises(
            GeorankerError, match=r"^photo 'gone': not in .*/.*; its \d photos have names such as \d/\d\.jpg"
        ):
            store.read("gone")


def test_pickled_without_what_is_open(same: list[PhotoStore]) -> None:
    for store in same:
        store.read(PHOTOS[0])
        again = pickle.loads(pickle.dumps(store))
        assert list(again.ids()) == list(store.ids())
        assert again.read(PHOTOS[0]) == MEMBERS[PHOTOS[0]]
        if isinstance(store, ArchiveStore):
            assert len(pickle.dumps(store)) < 1000


class Reads(Dataset[tuple[int, int]]):
    """Each photo of each store, as its number and whether it is right, with the process that read it."""

    def __init__(self, same: list[PhotoStore]) -> None:
        self.items = [(store, name) for store in same for name in [*PHOTOS, "gone"]]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, item: int) -> tuple[int, int]:
        store, name = self.items[item]
        try:
            return int(store.read(name) == MEMBERS[name]), os.getpid()
        except GeorankerError:
            return int(name == "gone"), os.getpid()


@pytest.mark.parametrize(("start", "workers"), [("fork", 2), ("spawn", 1)])
def test_from_loader_workers(start: str, workers: int, same: list[PhotoStore]) -> None:
    for store in same:
        store.read(PHOTOS[0])  # opens what there is to open before the fork
    loader = DataLoader(Reads(same), batch_size=1, num_workers=workers, multiprocessing_context=start)
    for _ in range(2 if start == "fork" else 1):
        right, processes = zip(*((int(ok), int(pid)) for ok, pid in loader), strict=True)
        assert all(right)
        assert len(set(processes) - {os.getpid()}) == workers
    assert all(store.read(name) == MEMBERS[name] for store in same for name in PHOTOS)


def test_a_forked_worker_opens_files_of_its_own(tmp_path: Path) -> None:
    store = stores(tmp_path, MEMBERS)[1]
    store.read(PHOTOS[0])
    os.replace(tar(tmp_path / "new.tar", {}), tmp_path / "a.tar")
    child = multiprocessing.get_context("fork").Process(target=_told_of_a_change, args=(store,))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert store.read(PHOTOS[0]) == MEMBERS[PHOTOS[0]]  # this process goes on with what it has open


def _told_of_a_change(store: PhotoStore) -> None:
    with pytest.raises(GeorankerError, match="changed while it was open"):
        store.read(PHOTOS[0])


def test_from_threads(same: list[PhotoStore]) -> None:
    again = pickle.loads(pickle.dumps(same))  # not open yet
    wrong: list[str] = []

    def read() -> None:
        for store in again:
            wrong.extend(name for name in PHOTOS * 5 if store.read(name) != MEMBERS[name])

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_files_are_closed(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    for store in stores(tmp_path, MEMBERS) * 3:
        store.read(PHOTOS[0])
    del store
    assert (len(os.listdir("/proc/self/fd")) if before else 0) <= before


def test_open_store_knows_them_by_their_bytes(same: list[PhotoStore], tmp_path: Path) -> None:
    folder = tmp_path / "stores"
    again = stores(folder, MEMBERS)
    for store, path in zip(again, ("folder", "a.tar", "0.zip"), strict=False):
        opened = open_store((folder / path).rename(tmp_path / path.replace(".", "")))
        assert type(opened) is type(store)
        assert opened.read(opened.ids()[0]) == MEMBERS[opened.ids()[0]]
    with pytest.raises(
        GeorankerError, match=r"gone: cannot be read \(No such file.*; name a folder, a \.tar or a \.zip"
    ):
        open_store(tmp_path / "gone")
    started = tmp_path / "unpacks itself"
    started.write_bytes(b"#!/bin/sh\n" + (tmp_path / "0zip").read_bytes())
    assert list(open_store(started).ids()) == list(ZipStore(tmp_path / "0zip").ids())
    os.mkfifo(tmp_path / "pipe.tar")
    with pytest.raises(GeorankerError, match=r"pipe\.tar: neither a file nor a folder; name a folder, "):
        open_store(tmp_path / "pipe.tar")
    (tmp_path / "page.tar").write_text("<html>")
    with pytest.raises(GeorankerError, match=r"page\.tar: cut short"):
        open_store(tmp_path / "page.tar")


# How a photo may be stored, and what of its pixels is then lost: the largest difference of a channel.
KINDS = {
    "JPEG RGB": 255,
    "JPEG CMYK": 255,
    "JPEG L": 255,
    "PNG RGB": 0,
    "PNG I;16": 1,
    "PNG P": 0,
    "PNG RGBA": 0,
    "GIF P": 0,
    "WEBP RGB": 0,
    "TIFF CMYK": 0,
}


@given(
    kind=st.sampled_from(sorted(KINDS)),
    width=st.integers(1, 20),
    height=st.integers(1, 20),
    orientation=st.integers(1, 8),
    frames=st.integers(1, 3),
    seed=st.integers(0, 9),
)
@settings(deadline=None, derandomize=True, max_examples=80)
def test_photos_of_every_kind(kind: str, width: int, height: int, orientation: int, frames: int, seed: int) -> None:
    file_format, mode = kind.split()
    colours = (
        np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8) // 51 * 51
    )  # a palette holds all
    seen = Image.fromarray(colours).convert("L").convert("RGB") if mode in ("L", "I;16") else Image.fromarray(colours)
    stored = (
        Image.fromarray(np.asarray(seen.convert("L")).astype(np.uint16) * 257)
        if mode == "I;16"
        else seen.convert("P", palette=Image.Palette.ADAPTIVE, dither=Image.Dither.NONE)
        if mode == "P"
        else seen.convert(mode)
    )
    buffer, more, exif = io.BytesIO(), {}, Image.Exif()
    if file_format in ("GIF", "WEBP") and frames > 1:
        more = {"save_all": True, "append_images": [Image.new("RGB", seen.size)] * (frames - 1)}
    if file_format in ("PNG", "JPEG"):
        exif[274] = orientation
        more["exif"] = exif
    stored.save(buffer, file_format, **more, **({"lossless": True} if file_format == "WEBP" else {}))
    turned = orientation > 4 and file_format in ("PNG", "JPEG")
    with tempfile.TemporaryDirectory() as folder:
        for store in stores(Path(folder), {"x/1.jpg": buffer.getvalue(), "x/2.jpg": b""}):
            image = store.decode("x_1")
            assert image.mode == "RGB"
            assert image.size == ((height, width) if turned else (width, height))
            if KINDS[kind] < 255 and (orientation == 1 or "exif" not in more):
                difference = np.asarray(image).astype(int) - np.asarray(seen)
                assert np.abs(difference).max() <= KINDS[kind]
            with pytest.raises(GeorankerError, match=r"^photo x_2: not an image; JPEG, .* are read$"):
                store.decode("x_2")


@pytest.mark.parametrize(
    "pixels", [(10_000, 9_000), (20_000, 10_000), (60_000, 60_000)], ids=["warned", "refused", "far"]
)
@pytest.mark.parametrize("action", ["default", "ignore", "error"])
def test_an_image_bomb_is_one_error(pixels: tuple[int, int], action: str, tmp_path: Path) -> None:
    bomb = b"P6 %d %d 255\n" % pixels
    for store in stores(tmp_path / action, {"bomb.jpg": bomb, "good.jpg": jpeg()}):
        with warnings.catch_warnings(record=True):
            warnings.simplefilter(action)  # type: ignore[arg-type]
            with pytest.raises(
                GeorankerError, match=r"^photo bomb: cannot be decoded \([^\n]*pixels[^\n]*\); make it smaller$"
            ):
                Photo("bomb", source=store).load()
        assert store.decode("good").size == (16, 16)
