"""Tar archives of every kind are read as tarfile reads them, and broken ones are refused in a line."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from georanker.stores import archive_index
from georanker.stores.tar_store import TarStore
from georanker.types import GeorankerError
from tests.stores.archives import MEMBERS, Members, tar


def as_tarfile_reads(path: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() and not member.issparse() else None
            if file is not None:
                found[member.name.removeprefix("./")] = file.read()
    return found


@given(members=MEMBERS, form=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_any_archive_reads_as_tarfile_reads_it(members: Members, form: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = tar(Path(folder) / "a.tar", members, form)
        store, expected = TarStore(path), as_tarfile_reads(path)
        assert {name: store.read(name) for name in expected} == expected
        assert len(store.index().names) == len(expected)
        assert {store.index().names.text(row) for row in range(len(expected))} == set(expected)


def special(path: Path) -> Path:
    """Write an archive that holds every kind of member, most of which are no photos."""
    with tarfile.open(path, "w", pax_headers={"comment": "of the whole archive"}) as archive:

        def add(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", **more: str) -> None:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname, info.pax_headers = kind, len(data), "plain.jpg", more
            archive.addfile(info, io.BytesIO(data))

        add("plain.jpg", data=b"plain")
        for number, kind in enumerate(
            (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE)
        ):
            add(f"special{number}.jpg", kind)
        add("old.jpg", tarfile.AREGTYPE, b"old")
        add("contiguous.jpg", tarfile.CONTTYPE, b"contiguous")
        add("unknown.jpg", b"Z", b"of a kind that nobody knows" * 30)
        add("sized.jpg", data=b"commented" * 100, comment="a\nb=c", size="900")
        add("./twice.jpg", data=b"first")
        add("./twice.jpg", data=b"second")
        add("last.jpg", data=b"last")
    data = bytearray(path.read_bytes())
    start = data.index(b"sized.jpg\0")
    data[start : start + 512] = with_size(
        bytes(data[start : start + 512]), b"00000000000\0"
    )  # pax alone tells its size
    path.write_bytes(data)
    return path


def with_size(header: bytes, size: bytes) -> bytes:
    header = header[:124] + size + header[136:]
    return header[:148] + b"%06o\0 " % (sum(header[:148]) + sum(header[156:]) + 8 * 32) + header[156:]


def test_members_that_are_no_photos_are_passed_over(tmp_path: Path) -> None:
    path = special(tmp_path / "a.tar")
    store, expected = TarStore(path), as_tarfile_reads(path)
    assert list(store.ids()) == ["plain.jpg", "old.jpg", "contiguous.jpg", "sized.jpg", "twice.jpg", "last.jpg"]
    assert {name: store.read(name) for name in store.ids()} == expected
    assert store.read("twice") == b"second"
    assert "special0.jpg" not in store
    assert "unknown.jpg" not in store


@pytest.mark.skipif(shutil.which("tar") is None, reason="no tar program")
@pytest.mark.parametrize("form", ["gnu", "posix", "ustar", "oldgnu", "v7"])
def test_archives_of_the_tar_program(form: str, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "1.jpg").write_bytes(b"1" * 700)
    (folder / "after.jpg").write_bytes(b"after")
    if form not in ("ustar", "v7"):
        (folder / ("é" * 110)).write_bytes(b"long")
        with (folder / "holes.jpg").open("wb") as file:  # so many that the map of holes goes on in further headers
            for number in range(40):
                file.seek(number * 200_000)
                file.write(b"x")
    sparse = ["--sparse"] if form not in ("ustar", "v7") else []
    command = ["tar", f"--format={form}", *sparse, "--sort=name", "-cf", "a.tar", "-C", "photos", "."]
    subprocess.run(command, cwd=tmp_path, check=True)
    path = tmp_path / "a.tar"
    store, expected = TarStore(path), as_tarfile_reads(path)
    assert {name: store.read(name) for name in expected} == expected
    assert len(store.index().names) == len(expected)
    assert "holes.jpg" not in store
    assert store.read("deep_1") == b"1" * 700


def test_cut_anywhere_it_is_one_error(tmp_path: Path) -> None:
    members = {"a.jpg": b"a" * 600, "é" * 60: b"", "b.jpg": b"b" * 512}
    whole = tar(tmp_path / "whole.tar", members).read_bytes()
    end = len(whole.rstrip(b"\0")) // 512 * 512  # the end of the last member
    assert whole[end : end + 512] == bytes(512)
    path = tmp_path / "cut.tar"
    for size in {*range(0, end + 512, 5), *(n + d for n in range(0, end + 512, 512) for d in (0, 1, 511))}:
        path.write_bytes(whole[:size])
        with pytest.raises(GeorankerError, match=r"^archive .*cut\.tar: cut short at byte [\d,]+; [^\n]*`cat`$"):
            TarStore(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cut.tar", "whole.tar"]
    path.write_bytes(whole[: end + 512])  # only zeros are gone, and every member is there
    store = TarStore(path)
    assert {name: store.read(name) for name in members} == members


@pytest.mark.parametrize(
    ("last_byte", "zeros", "is_whole"),
    [
        (b"\xd9", 1024, True),
        (b"\xd9", 1 << 20, True),  # tar's largest records in use
        (b"\xd9", (1 << 20) + 1536, False),
        (b"\0", 1024 + 10_240, True),
        (b"\0", 1024 + 10_240 + 512, False),
    ],
)
def test_a_tail_of_zeros_that_tar_would_not_write(last_byte: bytes, zeros: int, is_whole: bool, tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {"a.jpg": b"a" * 600, "b.jpg": b"b" * 511 + last_byte})
    end = 512 * 5
    path.write_bytes(path.read_bytes()[:end] + bytes(zeros))
    if is_whole:
        assert len(TarStore(path)) == 2
        return
    with pytest.raises(
        GeorankerError, match=r"^archive .*a\.tar: cut short: from byte 2,560 on there are only zeros; .*`cat`$"
    ):
        TarStore(path)


def test_what_goes_on_behind_its_end_is_refused(tmp_path: Path) -> None:
    parts = [tar(tmp_path / f"{name}.tar", {f"{name}.jpg": b"x" * 600}).read_bytes() for name in "ab"]
    holed = bytearray(tar(tmp_path / "c.tar", {f"{n}.jpg": b"x" * 600 for n in range(5)}).read_bytes())
    holed[1536:3584] = bytes(2048)
    for data in (b"".join(parts), bytes(holed)):
        path = tmp_path / "joined.tar"
        path.write_bytes(data)
        with pytest.raises(GeorankerError, match=r"^archive .*joined\.tar: goes on behind its end at byte [\d,]+, "):
            TarStore(path)


@given(position=st.integers(0, 10_239), byte=st.integers(0, 255))
@settings(deadline=None, derandomize=True, max_examples=150)
def test_damaged_anywhere_it_reads_or_is_one_error(position: int, byte: int) -> None:
    members = {"a.jpg": b"a" * 600, "é" * 60: b"", "b.jpg": b"b" * 512}
    with tempfile.TemporaryDirectory() as folder:
        path = tar(Path(folder) / "a.tar", members)
        data = bytearray(path.read_bytes())
        data[position] = byte
        path.write_bytes(data)
        try:
            store = TarStore(path)
            for name in store.ids():
                store.read(name)
        except GeorankerError as error:
            assert "\n" not in str(error)  # noqa: PT017  (both ends are right)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (
            gzip.compress(b"x" * 2000) * 20,
            "compressed, so that its photos cannot be found by position; `gunzip` it first",
        ),
        (b"BZh9" + b"x" * 2000, "compressed.*`bunzip2` it"),
        (b"\xfd7zXZ\0" + b"x" * 2000, "compressed.*`unxz` it"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 2000, "compressed.*`unzstd` it"),
        (b"<html>" * 1000, "not a tar archive"),
    ],
    ids=["gz", "bz2", "xz", "zstd", "page"],
)
def test_what_is_no_plain_tar(data: bytes, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    with pytest.raises(GeorankerError, match=rf"^archive .*a\.tar: {fault}"):
        TarStore(path)


@pytest.mark.parametrize("size", [b"\x80" + b"\x7f" * 11, b"\xff" * 12], ids=["beyond the file", "negative"])
def test_a_size_that_cannot_be(size: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_index, "_ROWS_A_CHUNK", 1)
    path = tmp_path / "a.tar"
    path.write_bytes(with_size(tarfile.TarInfo("a.jpg").tobuf(), size) + bytes(1024))
    with pytest.raises(GeorankerError, match=r"cut short|damaged|not a tar"):
        TarStore(path)
