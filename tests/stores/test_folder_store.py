"""A folder gives the photos below it, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from georanker.stores.folder_store import FolderStore
from georanker.types import GeorankerError
from tests.stores.archives import folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with photos, beside a secret."""
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots" / "secret.jpg").write_bytes(b"secret")
    return folder(tmp_path / "root", {"ab/cd/1.jpg": b"1", "2.PNG": b"2", "notes.csv": b"a,b"})


def test_photos_at_any_depth(root: Path) -> None:
    store = FolderStore(root)
    assert list(store.ids()) == ["2.PNG", "ab/cd/1.jpg"]
    for photo_id, data in {"ab/cd/1.jpg": b"1", "./ab//cd/1.jpg": b"1", "ab_cd_1": b"1", "1": b"1", "2": b"2"}.items():
        assert store.read(photo_id) == data
        assert photo_id in store
    assert store.read("notes.csv") == b"a,b"


@pytest.mark.parametrize(
    "photo_id",
    ["../secret.jpg", "ab/../../secret.jpg", "ab/..", "..", "/etc/passwd", "a\0b", "\0", "../roots/secret.jpg"],
)
def test_ids_that_lead_out(photo_id: str, root: Path) -> None:
    with pytest.raises(GeorankerError, match=r"^photo '.*': (not a name below a folder|leads out of .*); write"):
        FolderStore(root).read(photo_id)
    assert photo_id not in FolderStore(root)


def test_an_absolute_id_of_a_file_that_is_there(root: Path) -> None:
    for path in (root / "2.PNG", root.parent / "secret.jpg"):
        with pytest.raises(GeorankerError, match="not a name below a folder; write it relative to"):
            FolderStore(root).read(str(path))


@given(parts=st.lists(st.sampled_from(["..", ".", "", "a", "secret.jpg", "link", "roots", "\\", "~"]), max_size=6))
@settings(deadline=None, derandomize=True)
def test_no_way_leads_out(parts: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.getbasetemp() / "no_way"
    if not base.exists():
        (base / "root" / "a").mkdir(parents=True)
        (base / "secret.jpg").write_bytes(b"secret")
        (base / "root" / "a" / "link").symlink_to(base)
        (base / "root" / "link").symlink_to("..")
    with pytest.raises(GeorankerError, match=r"^photo '[^\n]*$"):
        FolderStore(base / "root").read("/".join(parts))


def test_links(root: Path) -> None:
    (root / "out.jpg").symlink_to(root.parent / "secret.jpg")
    (root / "out").symlink_to(root.parent)
    (root / "beside").symlink_to(root.parent / "roots")  # a name that begins like the root's
    (root / "in.jpg").symlink_to("ab/cd/1.jpg")
    (root / "circle.jpg").symlink_to("circle.jpg")
    (root.parent / "another way").symlink_to(root)
    for store in (FolderStore(root), FolderStore(root.parent / "another way")):
        assert list(store.ids()) == ["2.PNG", "ab/cd/1.jpg", "in.jpg"]
        assert store.read("in.jpg") == b"1"
        for photo_id in ("out.jpg", "out/secret.jpg", "beside/secret.jpg"):
            with pytest.raises(GeorankerError, match=r"a link that leads out of .*; name the folder where it leads"):
                store.read(photo_id)
            assert photo_id not in store
        with pytest.raises(GeorankerError, match=r"'circle\.jpg': not in folder"):
            store.read("circle.jpg")


def test_what_is_no_plain_file(root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")  # to read it would wait for ever
    store = FolderStore(root)
    assert "pipe.jpg" not in store.ids()
    for photo_id in ("pipe.jpg", "ab", "", "x" * 300, "caf\ud800"):
        assert photo_id not in store
        with pytest.raises(GeorankerError, match=r"^photo '.*': not in folder .*; its 2 photos have names such as "):
            store.read(photo_id)


def test_what_is_too_large(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (root / "hole.jpg").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(GeorankerError, match=r"hole\.jpg: 1,099,511,627,776 bytes are no photo"):
        FolderStore(root).read("hole.jpg")


def test_an_id_that_fits_two(root: Path) -> None:
    folder(root, {"x/1.png": b"other"})
    with pytest.raises(GeorankerError, match=r"photo '1': may be .*x/1\.png.* of folder .*; write the whole name"):
        FolderStore(root).read("1")
    assert FolderStore(root).read("1.png") == b"other"


def test_later_files_are_found_by_name(root: Path) -> None:
    store = FolderStore(root)
    assert len(store) == 2
    folder(root, {"later.jpg": b"later"})
    assert store.read("later.jpg") == b"later"
    (root / "ab/cd/1.jpg").unlink()
    with pytest.raises(GeorankerError, match=r"photo '1': cannot be read in .*root \(gone since"):
        store.read("1")


def test_names_that_are_not_text(root: Path) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.jpg")).write_bytes(b"coffee")
    store = FolderStore(root)
    assert [store.read(photo_id) for photo_id in store.ids()].count(b"coffee") == 1


def test_it_is_listed_once_and_only_if_it_must_be(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, listed = FolderStore(root), list[object]()
    scandir = os.scandir

    def listing(path: Path) -> object:
        listed.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", listing)
    store.read("ab/cd/1.jpg")
    assert not listed
    store.read("1")
    store.read("2")
    assert len(listed) == 3


def test_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "gone", tmp_path / "file"):
        with pytest.raises(GeorankerError, match="not there, or not a folder"):
            FolderStore(path)
