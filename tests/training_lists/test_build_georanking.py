"""Training lists are the same to the last bit for any number of processes and kills, and no photo is in its own."""

from __future__ import annotations

import logging
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from georanker.candidates import CandidatesFile
from georanker.cli import main, run_trainer
from georanker.data.blue_marble import BlueMarble
from georanker.data.geo_ranking import GeoRanking
from georanker.gazetteer import ATTRIBUTION, gazetteer
from georanker.georanking import told
from georanker.retrievers.gallery import Gallery
from georanker.training_lists import training_lists
from georanker.training_lists.distinct_neighbours import DistinctNeighbours
from georanker.types import CandidateList, Photo
from georanker.verbs.index import load_retriever
from tests.conftest import ROOT, SMALL
from tests.scoring_world import finished, stand_still, started, wait_for
from tests.test_bad_input import said

FILES = ("GeoRanking.parquet", "train.parquet")


@pytest.fixture(scope="module")
def command(small_run: Path) -> Callable[..., list[str]]:
    """The command for the 48 photos of the small Blue Marble, four in a shard."""

    def args(out: Path, *more: str) -> list[str]:
        photos = [f"--data={ROOT / 'configs/data/blue_marble_demo_photos.yaml'}", *SMALL, "--data.batch_size=4"]
        tools = [f"--retriever={small_run / 'retriever.ckpt'}", f"--gallery={small_run / 'gallery'}"]
        cache = f"--data.cache={small_run / 'cache'}"
        # An untrained retriever finds many tiles alike.
        return ["build-georanking", *photos, cache, *tools, f"--out={out}", "--photos_a_shard=3", *COSINE, *more]

    return args


COSINE = ("--duplicate_cosine=0.99999",)


@pytest.fixture(scope="module")
def made(command: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes that nobody interrupts."""
    out = tmp_path_factory.mktemp("lists") / "out"
    main(command(out))
    return out


def same(out: Path, made: Path) -> bool:
    assert sorted(path.name for path in out.iterdir()) == sorted(FILES), "nothing else is left"
    return all((out / name).read_bytes() == (made / name).read_bytes() for name in FILES)


def place(rank: int, processes: int) -> Callable[[], None]:
    """Return what torchrun tells a process."""
    return lambda: os.environ.update(RANK=str(rank), WORLD_SIZE=str(processes), LOCAL_RANK=str(rank))


def still_at_the_third() -> None:
    """Let the process wait to be killed when it has written two shards."""
    of, calls = DistinctNeighbours.of, []

    def counted(self: DistinctNeighbours, photos: Sequence[Photo], vectors: np.ndarray) -> list[CandidateList]:
        calls.append(1)
        if len(calls) == 3:
            stand_still()
        return of(self, photos, vectors)

    DistinctNeighbours.of = counted  # type: ignore[method-assign]  # in a process of its own


def test_what_is_written(made: Path, small_run: Path) -> None:
    """Both files hold the nearest of the whole gallery, as numpy finds them in the vectors of all photos."""
    model, gallery = load_retriever(small_run / "retriever.ckpt").eval(), Gallery.load(small_run / "gallery")
    data = BlueMarble(gallery_size=96, train_size=48, cache=small_run / "cache")
    photos = list(data.photos("train"))
    with torch.inference_mode():
        batches = [model.collator(photos[start : start + 4]) for start in range(0, 48, 4)]
        vectors = torch.cat([model.embed_photos(batch) for batch in batches]).numpy()
    scores = vectors.astype(np.float64) @ gallery.embeddings.astype(np.float64).T

    lists = CandidatesFile(made / "train.parquet")
    rows = pq.read_table(made / "GeoRanking.parquet").to_pylist()
    assert [row["img_id"] for row in rows] == [found.photo.id for found in lists] == [photo.id for photo in photos]
    for photo, found, row, score, vector in zip(photos, lists, rows, scores, vectors, strict=True):
        nearest = [int(at) for at in np.argsort(-score, kind="stable") if score[at] < 0.99999][:19]
        references = (*found.candidates, *found.negatives)
        assert (len(found.candidates), len(found.negatives)) == (14, 5)
        assert [candidate.gallery_row for candidate in references] == nearest
        assert [candidate.score for candidate in references] == score[nearest].astype(np.float32).tolist()
        assert found.embedding is not None
        assert (found.embedding == vector).all()
        assert Path(found.gallery).resolve() == (small_run / "gallery").resolve()

        assert photo.place is not None
        assert row["gps"] == [photo.place.latitude, photo.place.longitude]
        assert row["ref_img_id"] == [photo.id, *(each.photo.id for each in references if each.photo)]
        assert row["ref_gps"] == [row["gps"], *([each.place.latitude, each.place.longitude] for each in references)]
        named = gazetteer().named([photo.place, *(gallery.candidate(at, 0.0).place for at in nearest)])
        assert row["ref_texts"] == [list(each.names) for each in named]
        assert [each.place.names for each in references] == [each.names for each in named[1:]]
    assert told(made / "GeoRanking.parquet")["attribution"] == ATTRIBUTION
    assert ATTRIBUTION in pq.read_schema(made / "train.parquet").metadata[b"georanker.candidates"].decode()
    assert any(names for row in rows for names in row["ref_texts"])
    counted = sum(int((score >= 0.99999)[np.argsort(-score)[: 19 + 30]].sum()) for score in scores)
    assert told(made / "GeoRanking.parquet")["left_out"] == ({"too like it": counted} if counted else {})


def test_the_data_reads_what_was_written(made: Path) -> None:
    data, candidates = (
        GeoRanking(made / "GeoRanking.parquet", val_size=0, test_size=0),
        CandidatesFile(made / "train.parquet"),
    )
    for found, other in zip(data.lists("train"), candidates, strict=True):
        for mine, theirs in ((found.candidates, other.candidates[:7]), (found.negatives, other.negatives)):
            assert [each.photo and each.photo.id for each in mine] == [each.photo and each.photo.id for each in theirs]
            assert [" ".join(each.place.names) for each in mine] == [" ".join(each.place.names) for each in theirs]


def test_a_ranker_trains_on_the_candidates_file(made: Path, small_run: Path, tmp_path: Path) -> None:
    """One whose backbone needs the gallery's vectors."""
    config = f"--config={ROOT / 'configs/experiment/blue_marble_demo.yaml'}"
    data = [*SMALL, f"--data.cache={small_run / 'cache'}", f"--data.candidates={made}"]
    folders = [f"--trainer.default_root_dir={tmp_path}", f"--trainer.logger.save_dir={tmp_path}"]
    trainer = run_trainer(
        ["fit", config, *data, "--trainer.max_epochs=2", "--trainer.limit_val_batches=0", *folders]
    ).trainer
    assert trainer.global_step == 6
    assert trainer.callback_metrics["train/loss"].isfinite()


@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_write_the_same(
    processes: int, command: Callable[..., list[str]], made: Path, tmp_path: Path
) -> None:
    running = [started(command(tmp_path / "out"), place(rank, processes)) for rank in range(processes)]
    for process in running:
        process.join()
    assert [process.exitcode for process in running] == [0] * processes
    assert same(tmp_path / "out", made)


def test_what_kills_interrupt_goes_on(command: Callable[..., list[str]], made: Path, tmp_path: Path) -> None:
    """Killed from outside in one process and in two, and resumed in three."""
    out = tmp_path / "out"

    def prepare(rank: int, processes: int) -> Callable[[], None]:
        def both() -> None:
            place(rank, processes)()
            still_at_the_third()

        return both

    done = 0
    for processes in (1, 2):
        running = [started(command(out), prepare(rank, processes)) for rank in range(processes)]
        wait_for(done + 2 * processes, out / "train.parts", running[0])
        for process in running:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            assert process.exitcode == -signal.SIGKILL
        parts = sorted((out / "train.parts").glob("*.parquet"))
        assert len(parts) == done + 2 * processes
        done = len(parts)
    times = {path: path.stat().st_mtime_ns for path in parts}
    assert not [name for name in FILES if (out / name).exists()]
    (out / "train.parts/000011.parquet").write_bytes(parts[0].read_bytes()[:99])  # as a power cut may leave it

    for rank in (2, 1):
        assert finished(command(out), place(rank, 3)) == 0
    assert times.items() <= {path: path.stat().st_mtime_ns for path in (out / "train.parts").glob("*.parquet")}.items()
    assert finished(command(out), place(0, 3)) == 0
    assert same(out, made)


@pytest.mark.parametrize("moment", ["the second file", "the end"])
def test_a_kill_while_the_files_are_written(
    moment: str, command: Callable[..., list[str]], made: Path, tmp_path: Path
) -> None:
    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    prepare = {
        "the second file": lambda: setattr(training_lists, "write_georanking", die),
        "the end": lambda: setattr(shutil, "rmtree", die),
    }[moment]
    out = tmp_path / "out"
    assert finished(command(out), prepare) == -signal.SIGKILL
    assert (out / "train.parts").exists()
    main(command(out))
    assert same(out, made)


def test_a_second_call_changes_nothing(
    command: Callable[..., list[str]], made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: (made / name).stat().st_mtime_ns for name in FILES}
    main(command(made))
    assert "is there already, made with the same settings" in " ".join(capsys.readouterr().out.split())
    assert {name: (made / name).stat().st_mtime_ns for name in FILES} == before


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--top_k=9"], "was made with another top_k"),
        (["--negatives=2", "--duplicate_cosine=0.5"], "was made with another negatives and duplicate_cosine"),
        (["--data.batch_size=2"], "was made with another batch_size;"),
        (["--data.jitter=0.5"], "was made with another data;"),
    ],
)
def test_what_was_made_otherwise_is_not_mixed(
    flags: list[str],
    complaint: str,
    command: Callable[..., list[str]],
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = said(capsys, *command(made, *flags))
    assert line.startswith(f"georanker: {made / 'train.parquet'}: is there and {complaint}")

    assert finished(command(tmp_path), lambda: setattr(training_lists, "write_candidates", None)) == 1
    line = said(capsys, *command(tmp_path, *flags))
    assert line.startswith(f"georanker: {tmp_path / 'train.parts'}: {complaint}")


def test_files_of_others_are_not_written_over(
    command: Callable[..., list[str]], small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in FILES:
        (tmp_path / name).write_bytes(b"mine")
        assert f"{name}: is there and was not made by this command; delete it" in said(capsys, *command(tmp_path))
        assert (tmp_path / name).read_bytes() == b"mine"
        (tmp_path / name).unlink()


def test_some_photos_are_evenly_spread(command: Callable[..., list[str]], made: Path, tmp_path: Path) -> None:
    main(command(tmp_path / "out", "--photos=11"))
    taken = pq.read_table(tmp_path / "out/GeoRanking.parquet")
    rows = [at * 48 // 11 for at in range(11)]
    whole = pq.read_table(made / "GeoRanking.parquet")
    assert taken["img_id"].to_pylist() == whole.take(rows)["img_id"].to_pylist()
    assert taken["ref_img_id"].to_pylist() == whole.take(rows)["ref_img_id"].to_pylist()


def test_another_split_has_files_of_its_own(
    command: Callable[..., list[str]], made: Path, small_run: Path, tmp_path: Path
) -> None:
    main(command(tmp_path / "out", "--splits=[train,val]"))
    for name in ("GeoRanking_val.parquet", "val.parquet"):
        (tmp_path / "out" / name).rename(tmp_path / name)
    assert same(tmp_path / "out", made)
    assert (
        len(CandidatesFile(tmp_path / "val.parquet")) == pq.read_metadata(tmp_path / "GeoRanking_val.parquet").num_rows
    )
    assert len(CandidatesFile(tmp_path / "val.parquet")) == 16


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--negatives=19"], "negatives must be at least 0 and below top_k, which is 19, not 19"),
        (["--photos=0"], "photos must be at least 1, not 0"),
        (["--photos_a_shard=0"], "photos_a_shard must be at least 1, not 0"),
        (["--duplicate_cosine=2"], "duplicate_cosine must be above -1 and at most 1, not 2"),
        (["--duplicate_cosine=-0.9"], "nothing of the gallery is left for it (96 too like it); set a higher"),
        (["--splits=[nowhere]"], "Blue Marble has no split 'nowhere'"),
        (["--splits=[]"], "splits is empty: name those to write"),
        (["--related=gallery.csv"], "gallery.csv: knows none of the 48 photos of train, such as train/48-0"),
        (["--related=train.csv"], "train.csv: knows none of the 96 photos of the gallery, such as gallery/96-0"),
        (["--related=twice.csv"], "twice.csv: photo train_48-0 stands in several rows, with another author in each"),
        (["--related=no.csv"], "no.csv: cannot be read"),
    ],
)
def test_mistakes(
    flags: list[str],
    complaint: str,
    command: Callable[..., list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = {"gallery": "gallery/96-0,y", "train": "train/48-0,y", "twice": "train/48-0,y\ntrain_48-0,z"}
    for name, text in rows.items():
        (tmp_path / f"{name}.csv").write_text(f"photo_id,author\n{text}\n")
    assert complaint in said(capsys, *command(tmp_path / "out", *flags))
    assert not (tmp_path / "out/train.parquet").exists()
    assert not (tmp_path / "out/train.parts").exists(), "the corrected command finds nothing of this one"


def test_a_related_table_with_holes_is_told(
    command: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"gallery/96-{number},author {number % 3}" for number in range(96)] + ["train/48-7,author 1"]
    (tmp_path / "related.csv").write_text("\n".join(["photo_id,author", *rows]))
    with caplog.at_level(logging.WARNING, "georanker"):
        main(command(tmp_path / "out", "--related=related.csv"))
    assert "related.csv: knows 1 of the 48 photos of train" in caplog.text
    assert "of the gallery" not in caplog.text


def test_a_small_gallery_gives_candidates_before_negatives(
    command: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(command(tmp_path / "out", "--top_k=200", "--negatives=110"))
    assert {(len(each), len(each.negatives)) for each in CandidatesFile(tmp_path / "out/train.parquet")} <= {
        (90, found) for found in range(7)
    }
    assert "48 lists have fewer than 200 references, the least" in capsys.readouterr().out


def test_one_file_that_was_lost_is_written_again(command: Callable[..., list[str]], made: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(made, tmp_path / "out"))
    (out / "train.parquet").unlink()
    main(command(out))
    assert same(out, made)
