"""Scoring that is killed goes on with nothing lost or doubled, over any number of processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from georanker import parts as rows_in_parts
from georanker.cli import main
from tests.conftest import ROOT
from tests.scoring_world import (
    PHOTOS,
    asked,
    command,
    finished,
    some_lists,
    started,
    wait_for,
    write_lists,
)

STANDS_STILL = "--trainer.callbacks.still_at=14"
"""When a process has written three shards of four."""
KILLED_AT = "--trainer.callbacks.killed_at"
WRITER = "--trainer.callbacks+=PredictionWriter"
IDS = [f"photo-{number}" for number in range(PHOTOS)]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked to spare imports")


@pytest.fixture(autouse=True)
def _processes_talk_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")


@pytest.fixture(scope="module")
def candidates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lists(tmp_path_factory.mktemp("candidates"), some_lists())


@pytest.fixture(scope="module")
def undisturbed(candidates: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a run that nothing disturbed, in one process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert finished(command(candidates, folder)) == 0
    assert sorted(asked(folder)) == sorted(IDS)
    assert pq.read_table(folder / "predictions.parquet")["photo_id"].to_pylist() == IDS
    assert not (folder / "predictions.parts").exists()
    return (folder / "predictions.parquet").read_bytes()


def processes(number: int) -> list[str]:
    return ["--trainer.strategy=ddp_fork", f"--trainer.devices={number}"]


def kept(folder: Path) -> list[str]:
    """Return the ids that lie in shards."""
    files = (folder / "predictions.parts").glob("*.parquet")
    return [photo_id for file in files for photo_id in pq.read_table(file)["photo_id"].to_pylist()]


def check_resumed(folder: Path, undisturbed: bytes, before: Sequence[str]) -> None:
    """See that a run asked for what was left and nothing else, and that the file is as if nothing had happened."""
    assert sorted(asked(folder)) == sorted(set(IDS) - set(before))
    assert (folder / "predictions.parquet").read_bytes() == undisturbed
    assert not [path for path in folder.iterdir() if "part" in path.suffix]


def test_killed_twice(candidates: Path, undisturbed: bytes, tmp_path: Path) -> None:
    """First as a user's command, from outside, in the middle of a batch; then again; the third run ends."""
    args = command(candidates, tmp_path, STANDS_STILL)
    folder = tmp_path / "predictions.parts"
    process = subprocess.Popen([sys.executable, "-m", "georanker", *args], cwd=ROOT, stderr=subprocess.DEVNULL)
    wait_for(3, folder, process)
    process.kill()
    process.wait()
    first = kept(tmp_path)
    assert len(first) == 12
    assert set(first) <= set(asked(tmp_path))

    assert finished(command(candidates, tmp_path, f"{KILLED_AT}=9")) == -signal.SIGKILL
    second = kept(tmp_path)
    assert len(second) == len(first) + 8
    assert len(set(second)) == len(second)
    assert not set(asked(tmp_path)) & set(first)
    assert not (tmp_path / "predictions.parquet").exists()

    assert finished(command(candidates, tmp_path)) == 0
    check_resumed(tmp_path, undisturbed, second)


def at_rename(name: str, after: bool) -> Callable[[], None]:
    """Return what makes a process kill itself just before or after a file takes its place."""

    def prepare() -> None:
        replace = os.replace

        def deadly(source: Path, target: Path) -> None:
            last = Path(target).name == name
            if after or not last:
                replace(source, target)
            if last:
                os.kill(os.getpid(), signal.SIGKILL)

        rows_in_parts.os.replace = deadly  # type: ignore[attr-defined]

    return prepare


def in_merge() -> None:
    """Make a process kill itself when half of the file is written."""
    rows_in_parts._ROWS_A_GROUP = PHOTOS // 2
    gathered, calls = rows_in_parts._gathered, []

    def deadly(files: Sequence[Path], order: Sequence[tuple[int, int]]) -> pa.Table:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return gathered(files, order)

    rows_in_parts._gathered = deadly


def in_removal() -> None:
    """Make a process kill itself when half of the shards are gone."""
    unlink = Path.unlink

    def deadly(path: Path, missing_ok: bool = False) -> None:
        unlink(path, missing_ok)
        if path.suffix == ".parquet" and len(list(path.parent.glob("*.parquet"))) <= 5:
            os.kill(os.getpid(), signal.SIGKILL)

    Path.unlink = deadly  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize(
    ("when", "shards", "there"),
    [
        (in_merge, 16, False),
        (at_rename("predictions.parquet", after=False), 16, False),
        (at_rename("predictions.parquet", after=True), 16, True),
        (in_removal, 5, True),
    ],
    ids=["half merged", "merged, not in place", "in place", "half removed"],
)
def test_killed_in_the_end(
    when: Callable[[], None], shards: int, there: bool, candidates: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    assert finished(command(candidates, tmp_path), when) == -signal.SIGKILL
    assert len(asked(tmp_path)) == PHOTOS
    assert (tmp_path / "predictions.parquet").exists() == there
    assert len(list((tmp_path / "predictions.parts").glob("*.parquet"))) == shards
    before = kept(tmp_path)
    assert finished(command(candidates, tmp_path)) == 0
    check_resumed(tmp_path, undisturbed, before)


def test_killed_while_a_shard_is_written(candidates: Path, undisturbed: bytes, tmp_path: Path) -> None:
    """What is half written is not taken for a shard."""

    def prepare() -> None:
        write, calls = pq.write_table, []

        def deadly(table: pa.Table, path: Path) -> None:
            write(table, path)
            calls.append(1)
            if len(calls) == 3:
                os.truncate(path, path.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)

        pq.write_table = deadly

    assert finished(command(candidates, tmp_path), prepare) == -signal.SIGKILL
    assert len(list((tmp_path / "predictions.parts").glob(".*.part"))) == 1
    before = kept(tmp_path)
    assert len(before) == 8
    asked(tmp_path)
    assert finished(command(candidates, tmp_path)) == 0
    check_resumed(tmp_path, undisturbed, before)


def test_two_processes_as_a_user_starts_them(candidates: Path, undisturbed: bytes, tmp_path: Path) -> None:
    two = ["--trainer.strategy=ddp", "--trainer.devices=2"]
    args = [sys.executable, "-m", "georanker", *command(candidates, tmp_path, *two)]
    subprocess.run(args, cwd=ROOT, check=True, capture_output=True)
    assert len(list(tmp_path.glob("*.asked"))) == 2
    check_resumed(tmp_path, undisturbed, [])


@pytest.mark.parametrize(("number", "batch_size"), [(2, 5), (3, 1)])
def test_the_same_file_for_any_number_of_processes(
    number: int, batch_size: int, candidates: Path, undisturbed: bytes, tmp_path: Path
) -> None:
    """Scores of ByPlace do not depend on their batch at all, so that the bytes are the same for any size of batches."""
    args = command(candidates, tmp_path, *processes(number), f"--data.batch_size={batch_size}")
    assert finished(args) == 0
    assert len(list(tmp_path.glob("*.asked"))) == number
    check_resumed(tmp_path, undisturbed, [])


def test_the_last_digits_are_the_same_for_any_number_of_processes(candidates: Path, tmp_path: Path) -> None:
    """Where scores depend on their batch, the batches must be the same, after a kill too."""

    def scored(name: str, *more: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        args = command(candidates, folder, "--model.backbone.together=1e-5", "--data.batch_size=5", *more)
        assert finished(args) == (-signal.SIGKILL if more and more[-1].startswith(KILLED_AT) else 0)
        return folder / "predictions.parquet"

    alone = scored("alone").read_bytes()
    assert scored("three", *processes(3)).read_bytes() == alone
    assert not scored("killed", f"{KILLED_AT}=7").exists()
    assert 0 < len(kept(tmp_path / "killed")) < PHOTOS
    assert scored("killed", *processes(2)).read_bytes() == alone


def test_two_processes_are_killed_and_one_goes_on(candidates: Path, undisturbed: bytes, tmp_path: Path) -> None:
    process = started(command(candidates, tmp_path, *processes(2), STANDS_STILL))
    wait_for(6, tmp_path / "predictions.parts", process)
    assert process.pid is not None
    os.killpg(process.pid, signal.SIGKILL)
    process.join()
    before = kept(tmp_path)
    assert len(before) == 24
    assert len(list(tmp_path.glob("*.asked"))) == 2
    asked(tmp_path)
    assert finished(command(candidates, tmp_path)) == 0
    check_resumed(tmp_path, undisturbed, before)


def test_more_processes_than_photos_that_are_left(candidates: Path, undisturbed: bytes, tmp_path: Path) -> None:
    one_each = "--trainer.callbacks.photos_a_shard=1"
    args = command(candidates, tmp_path, f"{KILLED_AT}={PHOTOS - 1}")
    args.insert(args.index(WRITER) + 1, one_each)
    args.remove("--trainer.callbacks.photos_a_shard=4")
    assert finished(args) == -signal.SIGKILL
    before = kept(tmp_path)
    assert len(before) == PHOTOS - 1
    asked(tmp_path)
    assert finished(command(candidates, tmp_path, *processes(2))) == 0
    check_resumed(tmp_path, undisturbed, before)


def test_a_process_that_outlives_the_kill_doubles_nothing(candidates: Path, undisturbed: bytes, tmp_path: Path) -> None:
    assert finished(command(candidates, tmp_path, f"{KILLED_AT}=9")) == -signal.SIGKILL
    parts = tmp_path / "predictions.parts"
    for file in parts.glob("*.parquet"):
        shutil.copy(file, parts / f"outlived-{file.name}")
    assert finished(command(candidates, tmp_path)) == 0
    assert (tmp_path / "predictions.parquet").read_bytes() == undisturbed


def said(capsys: pytest.CaptureFixture[str], args: Sequence[str]) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(args)
    assert exit_.value.code == 1
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.filterwarnings("ignore:the backbone scored candidates NaN")
def test_others_are_refused(
    candidates: Path, undisturbed: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert finished(command(candidates, tmp_path, f"{KILLED_AT}=9")) == -signal.SIGKILL
    parts = tmp_path / "predictions.parts"
    files = {path: path.read_bytes() for path in parts.iterdir()}
    fix = "; delete it to start anew, or give PredictionWriter another path"

    other = write_lists(tmp_path / "other", some_lists(seed=1))
    refused = [
        (command(candidates, tmp_path, "--model.backbone.east=0.4"), "ranker"),
        (command(candidates, tmp_path, "--trainer.precision=bf16-mixed"), "ranker"),
        (command(other, tmp_path), "photos"),
        (command(candidates, tmp_path, "--data.jitter=0.5"), "photos"),
        (command(other, tmp_path, "--model.backbone.east=0.4"), "ranker and photos"),
    ]
    for args, what in refused:
        assert said(capsys, args) == f"georanker: {parts}: was made with another {what}{fix}"
    assert asked(tmp_path) == IDS[:9]
    assert {path: path.read_bytes() for path in parts.iterdir()} == files
    assert not (tmp_path / "predictions.parquet").exists()

    before = kept(tmp_path)
    assert finished(command(candidates, tmp_path, "--data.batch_size=3", "--data.num_workers=1")) == 0
    check_resumed(tmp_path, undisturbed, before)


@pytest.mark.filterwarnings("ignore:The dirpath has changed:UserWarning")
def test_other_weights_are_refused(candidates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of a checkpoint, which are there only after the data were set up."""
    import lightning as L
    import torch

    from georanker.ranker import Ranker
    from tests.scoring_world import ByPlace

    checkpoints = []
    for east in (0.3, 0.7):
        ranker, trainer = Ranker(ByPlace()), L.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
        ranker.backbone.weights.data = torch.tensor([1.0, east])
        trainer.strategy.connect(ranker)
        trainer.save_checkpoint(tmp_path / f"{east}.ckpt")
        checkpoints.append(f"--ckpt_path={tmp_path / f'{east}.ckpt'}")
    assert finished(command(candidates, tmp_path, f"{KILLED_AT}=9", checkpoints[1])) == -signal.SIGKILL
    assert "was made with another ranker" in said(capsys, command(candidates, tmp_path, checkpoints[0]))
    assert finished(command(candidates, tmp_path, checkpoints[1])) == 0


def test_a_doubled_id(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lists = some_lists(9)
    candidates = write_lists(tmp_path / "twice", [*lists, lists[4]])
    assert finished(command(candidates, tmp_path)) == 1
    told = {line for line in capfd.readouterr().err.splitlines() if line.startswith("georanker: ")}
    assert told == {
        f"georanker: candidates file {candidates / 'test.parquet'}: photo photo-4 stands in rows 4 and 9; answers are "
        "told apart by the photo's id, so each may stand there once"
    }
    assert not list(tmp_path.glob("predictions*"))


def test_a_damaged_shard_is_named(candidates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finished(command(candidates, tmp_path, f"{KILLED_AT}=9")) == -signal.SIGKILL
    shard = min((tmp_path / "predictions.parts").glob("*.parquet"))
    os.truncate(shard, 100)
    line = said(capsys, command(candidates, tmp_path))
    assert line.startswith(f"georanker: {shard}: cannot be read (")
    assert line.endswith("; delete it, and its photos are asked again")
