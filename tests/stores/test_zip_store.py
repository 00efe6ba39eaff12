"""Zip archives are read as zipfile reads them; what is broken, encrypted or a bomb is refused in a line."""

from __future__ import annotations

import struct
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from georanker.stores import base
from georanker.stores.zip_store import ZipStore
from georanker.types import GeorankerError
from tests.memory import traced
from tests.stores.archives import MEMBERS, Members, jpeg, zipped


def as_zipfile_reads(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {
            info.filename.removeprefix("./"): archive.read(info) for info in archive.infolist() if not info.is_dir()
        }


@given(members=MEMBERS, method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_any_archive_reads_as_zipfile_reads_it(members: Members, method: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = zipped(Path(folder) / "a.zip", members, method)
        store, expected = ZipStore(path), as_zipfile_reads(path)
        assert {name: store.read(name) for name in expected} == expected
        assert len(store.index().names) == len(expected)


def test_several_archives_are_one_store(tmp_path: Path) -> None:
    first = zipped(tmp_path / "00.zip", {"images/1.jpg": b"1", "images/2.jpg": b"2"})
    second = zipped(tmp_path / "01.zip", {"images/0.jpg": b"0", "images/2.jpg": b"other"})
    store = ZipStore([first, second])
    assert list(store.ids()) == ["images/1.jpg", "images/2.jpg", "images/0.jpg", "images/2.jpg"]
    assert (store.read("1"), store.read("0.jpg")) == (b"1", b"0")
    with pytest.raises(GeorankerError, match=r"photo '2': may be images/2.jpg of 00.zip and images/2.jpg of 01.zip"):
        store.read("2")
    with pytest.raises(GeorankerError, match=r"photo 'gone': not in .*00\.zip and 1 more; its 4 photos"):
        store.read("gone")
    assert "2" not in store
    assert ZipStore(first).read("2") == b"2"  # an index of its own
    assert ZipStore([first, second]).read("0") == b"0"
    assert len(list(tmp_path.glob("*.index.parquet"))) == 2


def test_folders_links_and_streams(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with path.open("wb") as file, zipfile.ZipFile(_NoSeek(file), "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        archive.mkdir("folder.jpg")
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "../../etc/passwd")
        archive.writestr("streamed.jpg", b"its sizes stand behind it" * 9)
        with archive.open("zip64.jpg", "w", force_zip64=True) as member:
            member.write(b"64")
    store = ZipStore(path)
    assert list(store.ids()) == ["streamed.jpg", "zip64.jpg"]
    assert (store.read("streamed"), store.read("zip64")) == (b"its sizes stand behind it" * 9, b"64")


class _NoSeek:
    """A file that can only be written on, as a pipe."""

    def __init__(self, file: object) -> None:
        self.write, self.flush = file.write, file.flush  # type: ignore[attr-defined]


def test_an_archive_behind_other_bytes(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.jpg": b"a"})
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    assert ZipStore(path).read("a") == b"a"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_cut_anywhere_it_is_one_error(method: int, tmp_path: Path) -> None:
    whole = zipped(tmp_path / "whole.zip", {"a.jpg": jpeg(), "b/c.jpg": b"b" * 200}, method).read_bytes()
    path = tmp_path / "cut.zip"
    for size in range(0, len(whole), 3):
        path.write_bytes(whole[:size])
        with pytest.raises(GeorankerError, match=r"^archive .*cut\.zip: [^\n]*cut short[^\n]*$"):
            ZipStore(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cut.zip", "whole.zip"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_anywhere_it_never_gives_wrong_bytes(method: int, tmp_path: Path) -> None:
    members = {"a.jpg": b"a" * 300, "b.jpg": bytes(range(256))}
    good = zipped(tmp_path / "good.zip", members, method).read_bytes()
    path, refused = tmp_path / "bad.zip", 0
    for position in range(0, len(good), 4):
        data = bytearray(good)
        data[position] ^= 0x55
        path.write_bytes(data)
        try:
            store = ZipStore(path)
            for name in store.ids():
                assert store.read(name) in members.values()
        except GeorankerError as error:
            assert "\n" not in str(error)  # noqa: PT017  (both ends are right)
            refused += 1
    assert refused > len(good) // 8


def changed(path: Path, at_local: int, at_central: int, value: bytes) -> None:
    """Overwrite a field in both headers of the first member."""
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\1\2")
    data[at_local : at_local + len(value)] = value
    data[central + at_central : central + at_central + len(value)] = value
    path.write_bytes(data)


def test_encrypted_members(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.jpg": b"a", "b.jpg": b"b"})
    changed(path, 6, 8, b"\1\0")
    store = ZipStore(path)
    with pytest.raises(GeorankerError, match=r"a\.zip, member a\.jpg: encrypted; .*password"):
        store.read("a.jpg")
    assert store.read("b.jpg") == b"b"


def test_other_compression(tmp_path: Path) -> None:
    store = ZipStore(zipped(tmp_path / "a.zip", {"a.jpg": b"a" * 99}, zipfile.ZIP_BZIP2))
    with pytest.raises(GeorankerError, match=r"a\.jpg: compressed by method 12; zip it again"):
        store.read("a.jpg")


def test_a_bomb_is_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ZipStore(zipped(tmp_path / "a.zip", {"a.jpg": bytes(3_000_000)}, zipfile.ZIP_DEFLATED))
    assert len(store.read("a.jpg")) == 3_000_000
    monkeypatch.setattr(base, "MAX_PHOTO_BYTES", 2_999_999)
    with pytest.raises(GeorankerError, match=r"a\.jpg: 3,000,000 bytes are no photo; at most 2,999,999 are read"):
        store.read("a.jpg")


@pytest.mark.parametrize("told", [10, 2_999_999, 3_000_001])
def test_a_bomb_that_lies_about_its_size(told: int, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.jpg": bytes(3_000_000)}, zipfile.ZIP_DEFLATED)
    changed(path, 22, 24, struct.pack("<L", told))
    store = ZipStore(path)
    with traced() as memory:
        with pytest.raises(GeorankerError, match=r"a\.jpg: does not match its checksum"):
            store.read("a.jpg")
        most = memory()[1]
    assert most < 2.2 * told + 200_000
