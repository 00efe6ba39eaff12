"""Nobody meets half a file: not after an error, not after a kill, not while another one is being written."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from georanker.files import file_beside, folder_beside
from georanker.types import GeorankerError

Beside = Callable[[Path], AbstractContextManager[Path]]


def write(part: Path, text: str) -> None:
    (part / "inside" if part.is_dir() else part).write_text(text)


def read(path: Path) -> str:
    return (path / "inside" if path.is_dir() else path).read_text()


def put(beside: Beside, path: Path, text: str) -> None:
    with beside(path) as part:
        write(part, text)


both = pytest.mark.parametrize("beside", [file_beside, folder_beside])


@both
def test_a_new_one_takes_the_place_of_the_old(beside: Beside, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "x"
    for text in ("first", "second"):
        put(beside, path, text)
        assert read(path) == text
        assert [each.name for each in path.parent.iterdir()] == ["x"]


@both
def test_until_the_end_the_old_one_stays(beside: Beside, tmp_path: Path) -> None:
    path = tmp_path / "x"
    with beside(path) as part:
        write(part, "first")
        assert not path.exists()
    with beside(path) as part:
        write(part, "second")
        assert read(path) == "first"


@both
def test_who_reads_the_old_one_reads_it_to_the_end(beside: Beside, tmp_path: Path) -> None:
    path = tmp_path / "x"
    put(beside, path, "first")
    with (path / "inside" if path.is_dir() else path).open() as reader:
        assert reader.read(2) == "fi"
        put(beside, path, "second")
        assert reader.read() == "rst"


@both
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_one_and_nothing_else(
    beside: Beside, error: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "x"

    def fail() -> None:
        with beside(path) as part:
            write(part, "half")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []
    put(beside, path, "first")
    with pytest.raises(error):
        fail()
    assert [each.name for each in tmp_path.iterdir()] == ["x"]
    assert read(path) == "first"


@both
def test_a_place_where_nothing_can_be_written_is_told(beside: Beside, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(GeorankerError, match=r"file/x: cannot be written \((File exists|Not a directory)\)$"):
        put(beside, tmp_path / "file" / "x", "text")
    assert (tmp_path / "file").read_text() == "not a folder"


@both
def test_a_full_disk_is_told(beside: Beside, tmp_path: Path) -> None:
    def fill() -> None:
        with beside(tmp_path / "x"), Path("/dev/full").open("w") as disk:
            disk.write("text")

    with pytest.raises(GeorankerError, match=r"/x: cannot be written \(No space left on device\)$"):
        fill()
    assert not list(tmp_path.iterdir())


@both
def test_an_error_about_another_file_stays_what_it_is(beside: Beside, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), beside(tmp_path / "x"):
        (tmp_path / "y").read_text()


def test_files_of_the_old_folder_are_not_mixed_with_the_new(tmp_path: Path) -> None:
    with folder_beside(tmp_path / "x") as part:
        (part / "old").write_text("old")
    put(folder_beside, tmp_path / "x", "new")
    assert [each.name for each in (tmp_path / "x").iterdir()] == ["inside"]


@both
def test_two_writers_at_once_leave_one_whole(beside: Beside, tmp_path: Path) -> None:
    path = tmp_path / "x"
    with beside(path) as one, beside(path) as two:
        assert one != two
        write(one, "one")
        write(two, "two")
    assert read(path) == "one"
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


KILLED = """
import os, shutil, sys, time
from pathlib import Path
from georanker import files

def stop(*_, **__):
    print("ready", flush=True)
    time.sleep(60)

path, beside, moment = Path(sys.argv[1]), getattr(files, sys.argv[2]), sys.argv[3]
if moment == "removing":
    shutil.rmtree = stop
with beside(path) as part:
    target = part / "inside" if part.is_dir() else part
    target.write_text("new")
    if moment == "writing":
        target.write_text("ha")
        stop()
"""


@pytest.mark.parametrize(
    ("beside", "moment", "left"),
    [(file_beside, "writing", "old"), (folder_beside, "writing", "old"), (folder_beside, "removing", "new")],
)
def test_a_killed_writer_leaves_the_old_or_the_new(beside: Beside, moment: str, left: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    put(beside, path, "old")
    name = "file_beside" if beside is file_beside else "folder_beside"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path), name, moment], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        writer.kill()
    assert writer.returncode == -signal.SIGKILL
    assert read(path) == left
    put(beside, path, "newer")
    assert read(path) == "newer"
