"""`georanker generate`: from photos to a candidates file, through kills, refusals and several processes."""

from __future__ import annotations

import base64
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from georanker.candidates import CandidatesFile
from georanker.cli import main
from georanker.data.im2gps3k import IM2GPS3K
from georanker.parts import Parts
from tests.conftest import ROOT
from tests.generators.chat_stand_in import ChatServer, Reply, chat_server, completion
from tests.miniatures import Miniatures, write_miniatures
from tests.photos_with_gps import photo_at

FORMS = ('{{"latitude": {0}, "longitude": {1}}}', "I cannot tell.", '{{"latitude": 0.0, "longitude": 0.0}}')


def shown(body: dict[str, Any]) -> int:
    """What the photo of a request looks like, in one number."""
    content = body["messages"][0]["content"]
    (url,) = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as image:
        return int(np.asarray(image).astype(int).sum())


def answers(body: dict[str, Any]) -> Reply:
    """The same for the same photo: a place, no place, and (0, 0), in turns."""
    seed = shown(body)
    random = np.random.default_rng(seed)
    told = [
        FORMS[(seed + at) % 3].format(round(random.uniform(-60, 60), 4), round(random.uniform(-180, 180), 4))
        for at in range(body["n"])
    ]
    return completion(*told)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Miniatures:
    return write_miniatures(tmp_path_factory.mktemp("dataset"))


def flags(files: Miniatures, server: ChatServer, out: Path, *more: str) -> list[str]:
    data = ["--data=IM2GPS3K", f"--data.table={files.im2gps3k}", f"--data.photos={files.im2gps3k_photos}"]
    chat = ["--generator=ChatGenerator", "--generator.model=m", f"--generator.url={server.url}"]
    few = ["--generator.samples=4", "--generator.at_once=2", "--generator.retries=0"]
    return ["generate", *data, *chat, *few, f"--out={out}", *more]


def started(args: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "georanker", *args]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="module")
def undisturbed(files: Miniatures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    with chat_server(answers) as server:
        main(flags(files, server, out))
    return out


def test_what_is_written(files: Miniatures, undisturbed: Path) -> None:
    data = IM2GPS3K(files.im2gps3k, files.im2gps3k_photos)
    own, found = data.lists("test"), CandidatesFile(undisturbed / "test.parquet")
    assert found.photo_ids == own.photo_ids
    guessed = 0
    for before, after in zip(own, found, strict=True):
        retrieved = [each for each in before.candidates if each.source == "retrieved"]
        assert list(after.candidates[: len(retrieved)]) == retrieved
        assert after.negatives == before.negatives
        guesses = after.candidates[len(retrieved) :]
        assert all(each.source == "generated" and each.photo is None and not each.place.names for each in guesses)
        assert all((each.place.latitude, each.place.longitude) != (0.0, 0.0) for each in guesses)
        scores = [each.score for each in after.candidates]
        assert all(score < min(scores[: len(retrieved)]) for score in scores[len(retrieved) :]), "retrieved places win"
        guessed += len(guesses)
    assert 24 <= guessed <= 48  # one or two of four answers name a place
    kept = pq.read_table(undisturbed / "test.answers.parquet")
    assert kept["photo_id"].to_pylist() == own.photo_ids
    assert all(len(each) == 4 for each in kept["answers"].to_pylist())
    assert not (undisturbed / "test.answers.parts").exists()


def test_any_data_reads_it(files: Miniatures, undisturbed: Path) -> None:
    cut = IM2GPS3K(files.im2gps3k, files.im2gps3k_photos, retrieved=5, generated=1, candidates=undisturbed)
    for found in cut.lists("test"):
        assert [each.source for each in found.candidates] == ["retrieved"] * 5 + ["generated"]


def test_what_is_there_is_not_asked_again(
    files: Miniatures, undisturbed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (undisturbed / "test.parquet").read_bytes()
    (undisturbed / "test.parquet").unlink()
    with chat_server(answers) as server:
        main(flags(files, server, undisturbed))
        assert not server.seen
        assert "24 lists; " in capsys.readouterr().out
        assert (undisturbed / "test.parquet").read_bytes() == before
        with pytest.raises(SystemExit):
            main(flags(files, server, undisturbed, "--generator.temperature=0.5"))
    assert "test.answers.parquet: is there and was made with another generator; delete it" in capsys.readouterr().err


def test_what_a_kill_interrupts_goes_on(files: Miniatures, undisturbed: Path, tmp_path: Path) -> None:
    """Killed between two requests of the second portion: those of the first are not asked again."""
    running: list[subprocess.Popen[str]] = []
    ready = threading.Event()

    def deadly(body: dict[str, Any]) -> Reply:
        ready.wait(60)
        if len(server.seen) == 20:
            running[0].send_signal(signal.SIGKILL)
        return answers(body)

    with chat_server(deadly) as server:
        running.append(started(flags(files, server, tmp_path)))
        ready.set()
        running[0].communicate(timeout=120)
        assert running[0].returncode == -signal.SIGKILL
        first = [shown(body) for _, _, body in server.seen]
        assert not (tmp_path / "test.answers.parquet").exists()
        server.seen.clear()
        server.answer = answers
        main(flags(files, server, tmp_path))
        then = [shown(body) for _, _, body in server.seen]
    assert len(then) == 24 - 16
    assert not set(first[:16]) & set(then)
    same_files(tmp_path, undisturbed)


def test_the_same_for_two_processes(files: Miniatures, undisturbed: Path, tmp_path: Path) -> None:
    with chat_server(answers) as server:
        both = [started(flags(files, server, tmp_path), RANK=str(rank), WORLD_SIZE="2") for rank in range(2)]
        said = [process.communicate(timeout=120)[0] for process in both]
        assert [process.returncode for process in both] == [0, 0], said
        assert len(server.seen) == 24
    assert sum("24 lists; " in each for each in said) == 1
    same_files(tmp_path, undisturbed)


def same_files(out: Path, expected: Path) -> None:
    for name in ("test.parquet", "test.answers.parquet"):
        assert pq.read_table(out / name).equals(pq.read_table(expected / name))
    assert sorted(path.name for path in out.iterdir()) == ["test.answers.parquet", "test.parquet"]


def test_an_error_keeps_the_answers_before_it(
    files: Miniatures, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(body: dict[str, Any]) -> Reply:
        return answers(body) if len(server.seen) <= 10 else (503, {"error": "gone"}, {})

    with chat_server(failing) as server:
        with pytest.raises(SystemExit):
            main(flags(files, server, tmp_path))
        assert "503 Service Unavailable: gone, 1 times; the same command goes on from here" in capsys.readouterr().err
        server.seen.clear()
        server.answer = answers
        main(flags(files, server, tmp_path))
        assert 14 <= len(server.seen) <= 16  # of two at once one may have been on its way
    same_files(tmp_path, undisturbed)


def test_one_photo_that_is_refused(files: Miniatures, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused: list[int] = []

    def picky(body: dict[str, Any]) -> Reply:
        refused[:] = refused or [shown(body)]
        return (400, {"error": {"message": "[unsafe]"}}, {}) if shown(body) == refused[0] else answers(body)

    with chat_server(picky) as server:
        main(flags(files, server, tmp_path, "--generator.at_once=1"))
    assert "no guess: http" in capsys.readouterr().out
    first, *others = pq.read_table(tmp_path / "test.answers.parquet")["answers"].to_pylist()
    assert first == []
    assert all(others)
    found = CandidatesFile(tmp_path / "test.parquet")
    assert len(found) == 24
    assert all(each.source == "retrieved" for each in found[0].candidates)


def test_the_last_photo_that_is_refused(files: Miniatures, tmp_path: Path) -> None:
    """It is alone in what is left of the job, and does not stop it."""

    def picky(body: dict[str, Any]) -> Reply:
        return answers(body) if len(server.seen) < 24 else (400, {"error": "unsafe"}, {})

    with chat_server(picky) as server:
        main(flags(files, server, tmp_path, "--generator.at_once=1"))
    assert pq.read_table(tmp_path / "test.answers.parquet")["answers"].to_pylist()[-1] == []


def test_all_photos_that_are_refused(files: Miniatures, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with chat_server(lambda _: (400, {"error": {"message": "unknown parameter n"}}, {})) as server:
        with pytest.raises(SystemExit):
            main(flags(files, server, tmp_path))
        assert len(server.seen) == 16
    said = capsys.readouterr()
    assert said.err.count("400 Bad Request: unknown parameter n") == 1
    assert "no guess" not in said.out
    assert not list(tmp_path.glob("*.parquet"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos of one's own, of which one is broken."""
    photos = tmp_path / "photos/test"
    photos.mkdir(parents=True)
    for at in range(3):
        (photos / f"{at}.jpg").write_bytes(photo_at(10.0 * at, 20.0, grey=60 * at + 60))
    (photos / "1.jpg").write_bytes((photos / "1.jpg").read_bytes()[:300])
    return tmp_path / "photos"


def test_photos_without_retrieved_candidates(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of which nothing is known are left out, and that is told."""
    monkeypatch.chdir(tmp_path)
    replies = iter([completion("4.5, 5.5", "no"), completion("no", "no")])
    with chat_server(lambda _: next(replies)) as server:
        chat = ["--generator=ChatGenerator", "--generator.model=m", f"--generator.url={server.url}"]
        more = ["--generator.samples=2", "--generator.at_once=1", f"--out={tmp_path / 'out'}"]
        main(["generate", "--data=PhotoFolder", f"--data.root={folder}", *chat, *more])
    said = capsys.readouterr().out
    assert "no guess: photo test/1.jpg: cannot be decoded" in said
    assert "1 lists; 1 of 4 answers name a place" in said
    assert "2 photos have no candidate: figures will be of the 1 others" in said
    (found,) = CandidatesFile(tmp_path / "out/test.parquet")
    assert found.photo.id == "test/0.jpg"
    assert [(each.place.latitude, each.place.longitude) for each in found.candidates] == [(4.5, 5.5)]


def test_photos_that_cannot_be_read_are_asked_about_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once they can be: what was answered stays."""
    monkeypatch.chdir(tmp_path)
    with chat_server(lambda _: completion("4.5, 5.5")) as server:
        chat = ["--generator=ChatGenerator", "--generator.model=m", f"--generator.url={server.url}"]
        command = [
            "generate",
            "--data=PhotoFolder",
            f"--data.root={folder}",
            *chat,
            "--generator.samples=1",
            "--out=out",
        ]
        main(command)
        assert len(server.seen) == 2
        assert pq.read_table("out/test.answers.parquet")["answers"].to_pylist() == [["4.5, 5.5"], None, ["4.5, 5.5"]]
        (folder / "test/1.jpg").write_bytes((folder / "test/2.jpg").read_bytes())
        main(command)
        assert len(server.seen) == 3
    assert "3 lists; 3 of 3 answers name a place" in capsys.readouterr().out
    assert len(CandidatesFile(Path("out/test.parquet"))) == 3


def test_no_photo_that_can_be_read(files: Miniatures, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with chat_server(answers) as server:
        chat = ["--generator=ChatGenerator", "--generator.model=m", f"--generator.url={server.url}"]
        with pytest.raises(SystemExit):
            main(["generate", "--data=IM2GPS3K", f"--data.table={files.im2gps3k}", *chat, f"--out={tmp_path}"])
    assert "no source holds its bytes" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.parquet"))


def test_a_process_that_comes_late(
    files: Miniatures, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others end between its first look and its second."""
    begin = Parts.begin

    def late(parts: Parts) -> set[str]:
        monkeypatch.setattr(Parts, "begin", begin)
        main(flags(files, server, tmp_path))
        return begin(parts)

    monkeypatch.setattr(Parts, "begin", late)
    monkeypatch.setenv("WORLD_SIZE", "1")
    with chat_server(answers) as server:
        main(flags(files, server, tmp_path))
        assert len(server.seen) == 24
    same_files(tmp_path, undisturbed)


def test_out_may_be_where_the_candidates_are(files: Miniatures, undisturbed: Path, tmp_path: Path) -> None:
    """They are then replaced by themselves and the guesses."""
    shutil.copy(undisturbed / "test.parquet", tmp_path / "test.parquet")
    more = [f"--data.candidates={tmp_path}", "--generator.question.similar=3"]
    with chat_server(answers) as server:
        for _ in range(2):
            main(flags(files, server, tmp_path, *more))
            assert len(server.seen) == 24
    first, again = CandidatesFile(undisturbed / "test.parquet")[0], CandidatesFile(tmp_path / "test.parquet")[0]
    assert [each.place for each in first.candidates][:12] == [each.place for each in again.candidates][:12]


def test_vectors_and_the_gallery_go_along(small_run: Path, small_data: list[str], tmp_path: Path) -> None:
    data = [f"--data={ROOT / 'configs/data/blue_marble_demo.yaml'}", *small_data]
    with chat_server(lambda body: completion(*["4.5, 5.5"] * body["n"])) as server:
        chat = ["--generator=ChatGenerator", "--generator.model=m", f"--generator.url={server.url}"]
        main(["generate", *data, *chat, "--generator.samples=1", f"--out={tmp_path}"])
    before, after = (CandidatesFile(folder / "test.parquet") for folder in (small_run / "candidates", tmp_path))
    assert (before.retriever, before.attribution) == (after.retriever, after.attribution)
    assert Path(after.gallery).samefile(before.gallery)
    for old, new in zip(before, after, strict=True):
        assert old.embedding is not None
        assert new.embedding is not None
        assert np.array_equal(old.embedding, new.embedding)
        assert [each.gallery_row for each in new.candidates] == [*(e.gallery_row for e in old.candidates), None]


def test_out_that_is_a_file(files: Miniatures, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("")
    with chat_server(answers) as server, pytest.raises(SystemExit):
        main(flags(files, server, tmp_path / "out"))
    assert "cannot be written" in capsys.readouterr().err


def test_retrieved_places_are_told(files: Miniatures, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And answers to a question about other candidates are others."""
    places = ["--generator.question.similar=2", "--generator.question.dissimilar=1"]
    with chat_server(answers) as server:
        main(flags(files, server, tmp_path, *places, "--generator.at_once=1"))
        texts = ["".join(part.get("text", "") for part in b["messages"][0]["content"]) for _, _, b in server.seen]
        for found, text in zip(IM2GPS3K(files.im2gps3k, files.im2gps3k_photos).lists("test"), texts, strict=True):
            for candidate in (*found.candidates[:2], found.negatives[0]):
                assert f"({candidate.place.latitude:g}, {candidate.place.longitude:g})" in text
        main(flags(files, server, tmp_path, *places, "--data.retrieved=7"))  # the first two are the same
        with pytest.raises(SystemExit):
            main(flags(files, server, tmp_path, *places, "--data.retrieved=1"))
    assert "test.answers.parquet: is there and was made with another candidates" in capsys.readouterr().err


def test_a_model_on_this_machine(files: Miniatures, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    data = ["--data=IM2GPS3K", f"--data.table={files.im2gps3k}", f"--data.photos={files.im2gps3k_photos}"]
    model = [f"--generator={ROOT / 'configs/generator/qwen2_vl_7b.yaml'}", f"--generator.model={tiny('qwen2_vl')}"]
    main(["generate", *data, *model, "--generator.max_tokens=4", f"--out={tmp_path}"])
    assert all(len(each) == 10 for each in pq.read_table(tmp_path / "test.answers.parquet")["answers"].to_pylist())
