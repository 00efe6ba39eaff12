"""`georanker generate` where photos, servers and disks do not do as they should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from georanker.candidates import CandidatesFile
from georanker.cli import main
from tests.generators.chat_stand_in import Reply, chat_server, completion
from tests.generators.generate_world import answers, flags, same_files, shown
from tests.miniatures import Miniatures
from tests.photos_with_gps import photo_at


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos of one's own, of which one is broken."""
    photos = tmp_path / "photos/test"
    photos.mkdir(parents=True)
    for at in range(3):
        (photos / f"{at}.jpg").write_bytes(photo_at(10.0 * at, 20.0, grey=60 * at + 60))
    (photos / "1.jpg").write_bytes((photos / "1.jpg").read_bytes()[:300])
    return tmp_path / "photos"


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


@pytest.mark.parametrize("ranks", [(0, 1, 0), (1, 0, 1), (1, 0, 0)])
def test_a_process_with_broken_photos_alone(
    ranks: tuple[int, ...],
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Photo 1 is all that the second of two processes has; the first may come again, or late."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with chat_server(lambda _: completion("4.5, 5.5")) as server:
        chat = ["--generator=ChatGenerator", "--generator.model=m", f"--generator.url={server.url}"]
        for rank in ranks:
            monkeypatch.setenv("RANK", str(rank))
            main(["generate", "--data=PhotoFolder", f"--data.root={folder}", *chat, "--generator.samples=1", "--out=o"])
        assert len(server.seen) == 2
    assert pq.read_table("o/test.answers.parquet")["answers"].to_pylist() == [["4.5, 5.5"], None, ["4.5, 5.5"]]
    assert len(CandidatesFile(Path("o/test.parquet"))) == 2
    assert "no guess: photo test/1.jpg: cannot be decoded" in capsys.readouterr().out


def test_no_photo_of_any_process(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    for photo in (folder / "test").iterdir():
        photo.write_bytes(b"text")
    with chat_server(answers) as server:
        chat = ["--generator=ChatGenerator", "--generator.model=m", f"--generator.url={server.url}"]
        command = ["generate", "--data=PhotoFolder", f"--data.root={folder}", *chat, "--out=o"]
        monkeypatch.setenv("RANK", "0")
        main(command)
        monkeypatch.setenv("RANK", "1")
        with pytest.raises(SystemExit):
            main(command)
    assert "not one of 3 photos could be read" in capsys.readouterr().err
    assert not list(Path("o").glob("*.parquet"))


def test_answers_that_are_damaged(files: Miniatures, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with chat_server(answers) as server:
        main(flags(files, server, tmp_path))
        file = tmp_path / "test.answers.parquet"
        table = pq.read_table(file)
        pq.write_table(table, file, compression="none", use_dictionary=False)
        answer = max(table["answers"].to_pylist())[0].encode()
        file.write_bytes(file.read_bytes().replace(answer, b"\xff" * len(answer)))
        with pytest.raises(SystemExit):
            main(flags(files, server, tmp_path))
    assert "test.answers.parquet: cannot be read (" in (said := capsys.readouterr().err)
    assert "delete it, and its photos are asked again" in said


def test_no_photo_that_can_be_read(files: Miniatures, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with chat_server(answers) as server:
        chat = ["--generator=ChatGenerator", "--generator.model=m", f"--generator.url={server.url}"]
        with pytest.raises(SystemExit):
            main(["generate", "--data=IM2GPS3K", f"--data.table={files.im2gps3k}", *chat, f"--out={tmp_path}"])
    assert "no source holds its bytes" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.parquet"))


def test_out_that_is_a_file(files: Miniatures, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("")
    with chat_server(answers) as server, pytest.raises(SystemExit):
        main(flags(files, server, tmp_path / "out"))
    assert "cannot be written" in capsys.readouterr().err
