"""The index is made once, is whole or not there, and never stands for an archive that has changed."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from georanker.stores import archive_index
from georanker.stores.archive_store import ArchiveStore
from georanker.stores.tar_store import TarStore
from georanker.stores.zip_store import ZipStore
from georanker.types import GeorankerError
from tests.stores.archives import Members, tar, zipped

OLD: Members = {"a.jpg": b"a", "b.jpg": b"b" * 600}
NEW: Members = {"c.jpg": b"c" * 5000, "b.jpg": b"new", "a.jpg": b"A"}
MADE = {TarStore: (tar, "a.tar"), ZipStore: (zipped, "a.zip")}
each = pytest.mark.parametrize("kind", [TarStore, ZipStore])


def make(kind: type[ArchiveStore], folder: Path, members: Members) -> Path:
    write, name = MADE[kind]
    return write(folder / name, members)


def index_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.index.parquet")


@each
def test_it_is_made_once(kind: type[ArchiveStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(kind, tmp_path, OLD)
    kind(path)
    assert pq.read_schema(index_of(path)).names[:4] == ["name", "archive", "offset", "size"]
    monkeypatch.setattr(kind, "_members", None)  # whoever lists the archive again fails
    assert kind(path).read("b") == OLD["b.jpg"]
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name, index_of(path).name]


@each
def test_a_changed_archive_is_indexed_again_and_said_so(
    kind: type[ArchiveStore], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kind(make(kind, tmp_path, OLD))
    assert capsys.readouterr().err == ""
    path = make(kind, tmp_path, NEW)
    store = kind(path)
    assert capsys.readouterr().err == f"{path}: changed since it was indexed, so it is indexed again\n"
    assert {name: store.read(name) for name in store.ids()} == NEW


@each
def test_the_same_size_at_another_time_is_a_change(kind: type[ArchiveStore], tmp_path: Path) -> None:
    kind(make(kind, tmp_path, OLD))
    path = make(kind, tmp_path, {"x.jpg": b"x", "b.jpg": b"y" * 600})
    os.utime(path, ns=(0, 10**18 + 1))
    assert kind(path).read("x") == b"x"


@each
def test_cut_after_it_was_indexed(kind: type[ArchiveStore], tmp_path: Path) -> None:
    path = make(kind, tmp_path, OLD)
    kind(path)
    os.truncate(path, 700)
    with pytest.raises(GeorankerError, match="cut short"):
        kind(path)


@each
@pytest.mark.parametrize("change", ["cut", "written", "replaced before it was opened", "removed before it was opened"])
def test_an_archive_that_changes_while_it_is_open(change: str, kind: type[ArchiveStore], tmp_path: Path) -> None:
    path = make(kind, tmp_path, OLD)
    kind(path)
    store = kind(path)  # from its index, so that the archive itself is not open yet
    if "before" not in change:
        assert store.read("a") == b"a"
    if change == "cut":
        os.truncate(path, 10)
    elif change == "written":
        make(kind, tmp_path, NEW)
    else:
        path.unlink()
        if "replaced" in change:
            make(kind, tmp_path, NEW)
    with pytest.raises(GeorankerError, match=r"changed while it was open|cannot be read") as raised:
        store.read("b")
    assert "\n" not in str(raised.value)
    if change != "removed before it was opened":
        with pytest.raises(GeorankerError, match="changed while it was open"):
            pickle.loads(pickle.dumps(store)).read("b")


@each
def test_a_replaced_archive_that_is_open_is_read_to_the_end(kind: type[ArchiveStore], tmp_path: Path) -> None:
    path = make(kind, tmp_path, OLD)
    store = kind(path)
    store.read("a")
    (tmp_path / "new").mkdir()
    os.replace(make(kind, tmp_path / "new", NEW), path)
    assert store.read("b") == OLD["b.jpg"]


@each
@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "other columns", "beyond the archive"])
def test_an_index_that_is_damaged_is_made_again(damage: str, kind: type[ArchiveStore], tmp_path: Path) -> None:
    path = make(kind, tmp_path, OLD)
    kind(path)
    index = index_of(path)
    table = pq.read_table(index)
    if damage == "other columns":
        pq.write_table(table.rename_columns(["other", *table.column_names[1:]]), index)
    elif damage == "beyond the archive":
        position = table.schema.get_field_index("offset")
        far = table.set_column(position, table.schema.field(position), [[10**9] * len(table)])
        pq.write_table(far, index)
    else:
        index.write_bytes({"cut": index.read_bytes()[:-9], "empty": b"", "noise": os.urandom(999)}[damage])
    store = kind(path)
    assert {name: store.read(name) for name in store.ids()} == OLD
    assert pq.read_table(index).equals(table)


def test_where_nothing_can_be_written_it_lies_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tar(tmp_path / ("a" * 250), OLD)  # the name of an index beside it would be too long
    TarStore(path)
    assert TarStore(path).read("a") == b"a"
    assert len(list((tmp_path / "cache/georanker").iterdir())) == 1
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(
        GeorankerError, match=r"can be written nowhere \(.*File name too long\); .*\); make room"
    ) as raised:
        TarStore(path)
    assert "\n" not in str(raised.value)


FULL = """
import resource, sys
from georanker.stores import TarStore
from georanker.types import GeorankerError
resource.setrlimit(resource.RLIMIT_FSIZE, (800, 800))
try:
    TarStore(sys.argv[1])
except GeorankerError as error:
    print(error)
"""


def test_a_full_disk_leaves_no_half_index(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", OLD)
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", FULL, path], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.startswith("the index of an archive can be written nowhere (")
    assert done.stdout.count("\n") == 1
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["a.tar"]


KILLED = """
import sys, time
import pyarrow.parquet as pq
from pathlib import Path
from georanker.stores import TarStore

write_table = pq.write_table

def write_half(table, path, **settings):
    write_table(table, path, **settings)
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[:len(whole) // 2])
    print("ready", flush=True)
    time.sleep(60)

pq.write_table = write_half
TarStore(sys.argv[1])
"""


def test_a_kill_while_it_is_written_leaves_no_half_index(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", OLD)
    with subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        writer.kill()
    assert writer.returncode == -signal.SIGKILL
    assert not index_of(path).exists()
    store = TarStore(path)
    assert {name: store.read(name) for name in store.ids()} == OLD


def test_what_killed_processes_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    path = tar(tmp_path / "[a].tar", OLD)
    names = (
        ".[a].tar.index.parquet.0123abcd.part",
        ".[a].tar.index.parquet.4567cdef.part",
        ".b.tar.index.parquet.8.part",
    )
    old, young, other = (tmp_path / name for name in names)
    for part in (old, young, other):
        part.write_bytes(b"half")
    for part in (old, other):
        os.utime(part, (0, 0))
    TarStore(path)
    assert [part.exists() for part in (old, young, other)] == [False, True, True]


def test_without_a_home_it_lies_beside_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    path = tar(tmp_path / "a.tar", OLD)
    assert TarStore(path).read("a") == b"a"
    assert index_of(path).exists()
    with pytest.raises(GeorankerError, match=r"can be written nowhere \(.*too long\)+; make room .* XDG_CACHE"):
        TarStore(tar(tmp_path / ("a" * 250), OLD))


@each
def test_the_same_name_in_two_archives(kind: type[ArchiveStore], tmp_path: Path) -> None:
    for folder in "xy":
        (tmp_path / folder).mkdir()
    store = kind([make(kind, tmp_path / folder, OLD) for folder in "xy"])
    with pytest.raises(GeorankerError, match=r"photo 'a\.jpg': may be a\.jpg of .*; leave one of the archives out$"):
        store.read("a.jpg")


def test_processes_that_make_it_at_once(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {f"{number}.jpg": b"%d" % number for number in range(2000)})
    code = f"from georanker.stores import TarStore; print(TarStore({str(path)!r}).read('1234').decode())"
    makers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [maker.communicate()[0] for maker in makers] == ["1234\n"] * 3
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name, index_of(path).name]


@each
def test_many_members(kind: type[ArchiveStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_index, "_ROWS_A_CHUNK", 7)
    members = {f"{n % 5}/{n:03}.jpg": b"%d" % n for n in range(100)}
    store = kind(make(kind, tmp_path, members))
    assert list(store.ids()) == list(members)
    assert {name: store.read(name.replace("/", "_")) for name in members} == members


def test_the_same_index_whatever_the_way_to_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tar(tmp_path / "a.tar", OLD)
    TarStore(path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(TarStore, "_members", None)
    assert TarStore(Path("a.tar")).read("a") == b"a"
    (tmp_path / "moved").mkdir()
    for file in (path, index_of(path)):
        shutil.move(file, tmp_path / "moved")
    assert TarStore(tmp_path / "moved" / "a.tar").read("a") == b"a"


@pytest.mark.parametrize("kind", [TarStore, ZipStore])
def test_no_archive(kind: type[ArchiveStore], tmp_path: Path) -> None:
    with pytest.raises(GeorankerError, match=r"archive .*gone: cannot be read \(No such file"):
        kind(tmp_path / "gone")
    with pytest.raises(GeorankerError, match="not a file"):
        kind(tmp_path)
    with pytest.raises(GeorankerError, match="at least one archive"):
        kind([])
