"""One's own tables: any names of columns, candidates in cells, and what is wrong with them."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from georanker.cli import main, run_trainer
from georanker.data.geo_table import GeoTable
from georanker.retrievers.photo_collator import PhotoCollator
from georanker.types import CandidateList, GeorankerError
from tests.conftest import ROOT
from tests.miniatures import Miniatures, write_miniatures


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Miniatures:
    return write_miniatures(tmp_path_factory.mktemp("miniatures"))


NAMES = ["id", "latitude", "longitude", "where", "who", "called", "guessed"]
CELLS = {
    "candidate_places_column": "where",
    "candidate_photos_column": "who",
    "candidate_names_column": "called",
    "generated_places_column": "guessed",
}
PAIRS: list[object] = [[1.0, 2.0], [-3.5, 4.25]]
GOOD: list[object] = [
    "q.jpg",
    1.5,
    2.5,
    PAIRS,
    ["a", None],
    [["Nice", "", "France"], ["", None, "L'Île"]],
    [[0.5, 0.5]],
]


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([NAMES, *rows])
    return path


def changed(column: str, value: object) -> list[object]:
    return [value if name == column else cell for name, cell in zip(NAMES, GOOD, strict=True)]


def own(table: Path, **more: object) -> Sequence[CandidateList]:
    return GeoTable(test=table, **CELLS, **more).lists("test")  # type: ignore[arg-type]


def test_lists_of_parquet_are_as_cells_of_csv(tmp_path: Path) -> None:
    rows = [GOOD, changed("id", "r.jpg"), changed("guessed", None)]
    as_csv = own(write_csv(tmp_path / "x.csv", rows))
    pq.write_table(pa.table(dict(zip(NAMES, map(list, zip(*rows, strict=True)), strict=True))), tmp_path / "x.parquet")
    as_parquet = own(tmp_path / "x.parquet")
    assert list(as_csv) == list(as_parquet)
    places = [(c.place.latitude, c.place.longitude, *c.place.names) for c in as_csv[0].candidates]
    assert places == [(1.0, 2.0, "Nice", "France"), (-3.5, 4.25, "L'Île"), (0.5, 0.5)]
    assert [c.photo.id if c.photo else None for c in as_csv[0].candidates] == ["a", None, None]
    assert [c.source for c in as_csv[0].candidates] == ["retrieved", "retrieved", "generated"]
    assert as_csv[0].negatives == as_csv[0].candidates[:2]
    assert len(as_csv[2]) == 2


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("where", "", "is empty"),
        ("where", "[(1.0, 2.0), (91.0, 2.0)]", "holds [91.0, 2.0], which is not (latitude, longitude) in degrees"),
        ("where", "[(1.0, 2.0), (nan, 2.0)]", "holds [nan, 2.0], which is not (latitude, longitude) in degrees"),
        ("where", "[(1.0, 2.0), '1, 2']", "holds '1, 2', which is not (latitude, longitude) in degrees"),
        ("where", "3", "is not a list"),
        ("where", "[(1.0, 2.0)", "is not a literal that can be read (it ends before all brackets are closed)"),
        ("where", "(" * 100_000, "is not a literal that can be read (lists lie more than 8 deep)"),
        ("who", "['a']", "is a list of 1, not of 2 as the places"),
        ("who", "['a', 1.5]", "holds 1.5, which is not the id of a photo"),
        ("called", "[['a', 'b', 'c'], ['a']]", "holds ['a'], which is not a list of 3 or 6 names"),
        ("guessed", "I am not sure", "is not a literal that can be read ('I' is not part of a list of values)"),
        ("latitude", "-91", "is outside [-90, 90] degrees"),
        ("id", "", "is empty"),
    ],
)
def test_a_cell_that_cannot_be_used(
    column: str, value: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = write_csv(Path("x.csv"), [GOOD, GOOD, changed(column, value), changed("id", "last")])
    with pytest.raises(GeorankerError) as raised:
        own(table)
    shown = repr(value) if len(value) < 60 else f"{repr(value)[:60]}..."
    advice = "correct it, or leave such rows out with data.on_bad_rows=skip"
    assert str(raised.value) == f"x.csv, line 4, column {column}: {shown} {reason}; {advice}"
    assert [found.photo.id for found in own(table, on_bad_rows="skip")] == ["q.jpg", "q.jpg", "last"]
    with open("skipped_rows.test.csv", encoding="utf-8", newline="") as file:
        kept = value if len(value) < 1000 else f"{value[:1000]}..."
        assert list(csv.reader(file))[1:] == [["x.csv", "4", column, kept, reason]]


def test_a_list_without_candidates(tmp_path: Path) -> None:
    nothing = ["q", 1, 2, "[]", "[]", "[]"]
    with pytest.raises(GeorankerError, match=r"line 3, column where: '\[\]' holds no candidate"):
        own(write_csv(tmp_path / "x.csv", [GOOD, [*nothing, "[(0.0, 0.0)]"]]))
    assert len(own(write_csv(tmp_path / "x.csv", [[*nothing, "[(0.0, 0.1)]"]]))[0]) == 1


def test_a_cell_of_code_does_not_run(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    code = f"__import__('os').system('touch {canary}')"
    for column in CELLS.values():
        table = write_csv(tmp_path / "x.csv", [GOOD, changed(column, code)])
        with pytest.raises(
            GeorankerError, match=rf"x\.csv, line 3, column {column}: .*'__import__' is not part of a list"
        ):
            own(table)
    assert not canary.exists()


PLACE = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
NO_PLACE = st.sampled_from(
    [None, "?", [], [1.0], [1.0, 2.0, 3.0], [91.0, 0.0], (0.0, 0.0), (0, 0), [float("nan"), 1.0]]
)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.lists(PLACE, min_size=1, max_size=6), st.lists(PLACE | NO_PLACE, max_size=5)), min_size=1),
    st.none() | st.integers(1, 4),
    st.none() | st.integers(0, 4),
    st.integers(0, 7),
)
def test_random_rows(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[list[tuple[float, float]], list[object]]],
    retrieved: int | None,
    generated: int | None,
    negatives: int,
) -> None:
    table = tmp_path_factory.mktemp("random") / "x.csv"
    write_csv(table, [["q", 0.5, 0.5, places, "", "", guesses] for places, guesses in rows])
    counts = {"retrieved": retrieved, "generated": generated, "negatives": negatives}
    cells = {name: column for name, column in CELLS.items() if column in ("where", "guessed")}
    lists = GeoTable(test=table, **cells, **counts).lists("test")  # type: ignore[arg-type]
    for found, (places, guesses) in zip(lists, rows, strict=True):
        good = [tuple(each) for each in guesses[:generated] if isinstance(each, list | tuple) and is_place(each)]
        given_ = [(c.place.latitude, c.place.longitude) for c in found.candidates]
        assert given_ == [*places[:retrieved], *good]
        tail = places[len(places) - negatives :] if negatives < len(places) else places
        assert [(n.place.latitude, n.place.longitude) for n in found.negatives] == tail


def is_place(value: Sequence[float]) -> bool:
    return len(value) == 2 and tuple(value) != (0, 0) and bool(np.all(np.abs(value) <= (90, 180)))


def test_tables_without_truth_or_photos(tmp_path: Path) -> None:
    pq.write_table(pa.table({"number": [7, 8], "land": ["FR", None]}), tmp_path / "x.parquet")
    data = GeoTable(tmp_path / "x.parquet", id_column="number", latitude_column=None, longitude_column=None)
    assert [(photo.id, photo.place) for photo in data.photos("test")] == [("7", None), ("8", None)]
    with pytest.raises(GeorankerError, match="photo 7: no source holds its bytes"):
        data.photos("test")[0].load()
    with pytest.raises(GeorankerError, match="GeoTable has no split 'train'; it has test"):
        data.photos("train")


@pytest.mark.parametrize(
    ("settings_", "complaint"),
    [
        ({}, "a table is needed for at least one split"),
        ({"test": Path("x"), "latitude_column": None}, "must both be there, or neither"),
        ({"test": Path("x"), "latitude_column": "longitude"}, "must be two columns, not 'longitude' twice"),
        ({"test": Path("x"), "negatives": -1}, "negatives must be at least 0, not -1"),
    ],
)
def test_settings_that_cannot_be(settings_: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        GeoTable(**settings_)  # type: ignore[arg-type]


SIMILARITY = [
    "--model=Ranker",
    "--model.backbone=SimilarityBackbone",
    f"--trainer={ROOT / 'configs/trainer/cpu.yaml'}",
    "--trainer.logger=false",
]


def accuracy(*data: str) -> dict[str, float]:
    """Run `georanker test` and return its figures."""
    trainer = run_trainer(["test", *SIMILARITY, "--trainer.callbacks=null", *data]).trainer
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_a_benchmark_without_code(mini: Miniatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    table = ["--data=GeoTable", f"--data.test={mini.im2gps3k}", f"--data.photos={mini.im2gps3k_photos}"]
    places = ["--data.id_column=IMG_ID", "--data.latitude_column=LAT", "--data.longitude_column=LON"]
    cells = ["--data.candidate_places_column=candidate_gps_lis", "--data.retrieved=12"]
    found = accuracy(*table, *places, *cells)
    assert 0 < found["test/retrieved/acc@25km"] < found["test/oracle/acc@25km"]
    config = ROOT / "configs/data/im2gps3k_neighbours.yaml"
    files = {
        "table": mini.im2gps3k_places365,
        "photos": mini.im2gps3k_photos,
        "gallery": mini.mp16_filtered,
        "gallery_photos": mini.mp16_photos,
        "neighbours": mini.im2gps3k_rows,
    }
    same = accuracy(
        f"--data={config}", *(f"--data.{name}={path}" for name, path in files.items()), "--data.num_workers=0"
    )
    assert same == pytest.approx(found, nan_ok=True)


def test_skipped_rows_are_beside_the_run(mini: Miniatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = mini.im2gps3k.read_text().splitlines(keepends=True)
    lines[3] = lines[3].replace("(", "<", 1)
    (tmp_path / "x.csv").write_text("".join(lines))
    data = ["--data=IM2GPS3K", "--data.table=x.csv", "--data.on_bad_rows=skip"]
    main(["predict", *SIMILARITY, *data, "--trainer.default_root_dir=run"])
    assert (tmp_path / "run/skipped_rows.test.csv").read_text().splitlines()[1].startswith("x.csv,4,candidate_gps_lis,")
    assert pq.read_metadata(tmp_path / "run/predictions.parquet").num_rows == 23


def test_photos_and_lists_leave_out_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = Path("skipped_rows.test.csv")
    bad = write_csv(Path("x.csv"), [GOOD, changed("where", "3"), changed("latitude", "x"), changed("id", "last")])
    for first in ("photos", "own_lists"):
        data = GeoTable(bad, on_bad_rows="skip", **CELLS)  # type: ignore[arg-type]
        getattr(data, first)("test")
        told = report.read_text()
        assert [line.split(",")[1] for line in told.splitlines()[1:]] == ["3", "4"]
        assert [found.photo for found in data.lists("test")] == list(data.photos("test"))
        assert report.read_text() == told
    retriever = GeoTable(bad, on_bad_rows="skip", collator=PhotoCollator(8), **CELLS)  # type: ignore[arg-type]
    assert len(retriever.photos("test")) == 3, "no candidates are asked of the table"
    other = write_csv(Path("y.csv"), [GOOD])
    assert len(own(other)) == 1
    assert report.exists(), "it tells of another table"
    write_csv(bad, [GOOD])
    assert len(own(bad)) == 1
    assert not report.exists(), "nothing of it is true any more"


def test_candidates_from_a_retriever(
    mini: Miniatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A retriever is trained on MP16-Pro, finds candidates for YFCC4K there, and they are ranked."""
    monkeypatch.chdir(tmp_path)
    mp16 = [f"--data={ROOT / 'configs/data/mp16_pro.yaml'}", f"--data.table={mini.mp16_filtered}"]
    mp16 += [f"--data.photos={mini.mp16_photos}", "--data.batch_size=20", "--data.num_workers=0"]
    model = [f"--model={ROOT / 'configs/retriever/contrastive.yaml'}", *SIMILARITY[2:]]
    model += ["--trainer.callbacks=null", "--trainer.limit_val_batches=0", "--trainer.max_epochs=1"]
    run_trainer(["fit", *model, *mp16]).trainer.save_checkpoint(tmp_path / "retriever.ckpt")
    main(["index", *mp16, "--retriever=retriever.ckpt", "--out=gallery"])
    assert json.loads((tmp_path / "gallery/gallery.json").read_text())
    yfcc = ["--data=YFCC4K", f"--data.table={mini.yfcc4k}", f"--data.photos={mini.yfcc4k_photos}"]
    yfcc += [f"--data.gallery_photos={mini.mp16_photos}"]
    found = ["--retriever=retriever.ckpt", "--gallery=gallery", "--out=candidates", "--top_k=9", "--splits=[test]"]
    main(["retrieve", *yfcc, *found])
    retrieved = accuracy(*yfcc, "--data.candidates=candidates")
    assert retrieved != accuracy(*yfcc), "candidates of a folder go before those of the table"
    lists = GeoTable(mini.yfcc4k, id_column="IMG_ID", latitude_column="LAT", longitude_column="LON")
    lists.candidates, lists.gallery_source = tmp_path / "candidates", None
    first = lists.lists("test")[0]
    assert (len(first), first.photo) == (9, lists.photos("test")[0])
    names = {photo.place.country for photo in (c.photo for c in first.candidates) if photo and photo.place}
    assert names - {""}, "the gallery's names come with them"
