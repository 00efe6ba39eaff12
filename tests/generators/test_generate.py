"""`georanker generate`: from photos to a candidates file, through kills, refusals and several processes."""

from __future__ import annotations

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

from georanker.candidates import CandidatesFile
from georanker.cli import main
from georanker.data.geo_ranking import GeoRanking
from georanker.data.im2gps3k import IM2GPS3K
from georanker.parts import Parts
from tests.conftest import ROOT
from tests.generators.chat_stand_in import Reply, chat_server, completion
from tests.generators.generate_world import answers, flags, same_files, shown
from tests.miniatures import Miniatures


def started(args: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    command = [sys.executable, "-m", "georanker", *args]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


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


def test_ranks_that_begin_later_are_cut_once(files: Miniatures, tmp_path: Path) -> None:
    photos = [f"--data.photos={files.mp16_photos}", f"--data.table={files.georanking}", "--data.ranks=[3, 7]"]
    with chat_server(answers) as server:
        chat = ["--generator=ChatGenerator", "--generator.model=m", f"--generator.url={server.url}"]
        more = ["--generator.samples=1", f"--out={tmp_path}"]
        main(["generate", "--data=GeoRanking", *photos, "--data.val_size=0", "--data.test_size=4", *chat, *more])
    settings: dict[str, Any] = {"ranks": (3, 7), "val_size": 0, "test_size": 4}
    own = GeoRanking(files.georanking, files.mp16_photos, **settings).lists("test")
    read = GeoRanking(files.georanking, files.mp16_photos, candidates=tmp_path, **settings).lists("test")
    for before, after in zip(own, read, strict=True):
        retrieved = [each.place for each in after.candidates if each.source == "retrieved"]
        assert retrieved == [each.place for each in before.candidates]
