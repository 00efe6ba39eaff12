"""The field's benchmarks, read from miniatures of their public files."""

from __future__ import annotations

import ast
import csv
import logging
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from georanker.backbones.ranking_collator import RankingCollator
from georanker.data.geo_table import GeoTable
from georanker.data.im2gps import IM2GPS
from georanker.data.im2gps3k import IM2GPS3K
from georanker.data.mp16_pro import MP16Pro
from georanker.data.osv5m import OSV5M
from georanker.data.paper_table import PaperTable
from georanker.data.yfcc4k import YFCC4K
from georanker.data.yfcc26k import YFCC26K
from georanker.retrievers.photo_collator import PhotoCollator
from georanker.types import Candidate, CandidateList, GeorankerError, RankingBatch
from tests.memory import traced
from tests.miniatures import Miniatures, write_miniatures


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Miniatures:
    return write_miniatures(tmp_path_factory.mktemp("miniatures"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def three_k(mini: Miniatures, **settings: object) -> IM2GPS3K:
    return IM2GPS3K(mini.im2gps3k, mini.im2gps3k_photos, gallery_photos=mini.mp16_photos, **settings)  # type: ignore[arg-type]


def four_k(mini: Miniatures, **settings: object) -> YFCC4K:
    return YFCC4K(mini.yfcc4k, mini.yfcc4k_photos, gallery_photos=mini.mp16_photos, **settings)  # type: ignore[arg-type]


def all_benchmarks(mini: Miniatures) -> list[GeoTable]:
    return [
        three_k(mini, gallery=mini.mp16_filtered),
        four_k(mini),
        IM2GPS(mini.im2gps, mini.im2gps_photos),
        YFCC26K(mini.yfcc26k, mini.yfcc26k_photos),
        MP16Pro(mini.mp16_filtered, mini.mp16_photos),
        MP16Pro(mini.mp16_places365, mini.mp16_photos),
        OSV5M(mini.osv5m),
    ]


def test_every_photo_is_found_at_its_place(mini: Miniatures) -> None:
    for data in all_benchmarks(mini):
        for split, table in data.tables.items():
            photos, rows = data.photos(split), rows_of(table)
            assert len(photos) == len(rows) > 10
            for photo, row in zip(photos, rows, strict=True):
                assert photo.id == row.get("IMG_ID", row.get("id"))
                assert photo.place is not None
                latitude, longitude = row.get("LAT", row.get("latitude")), row.get("LON", row.get("longitude"))
                assert (str(photo.place.latitude), str(photo.place.longitude)) == (latitude, longitude)
                assert photo.load().size == (48, 32)
            assert list(photos) == photos[:] == [photos[at] for at in range(-len(photos), 0)]
            with pytest.raises(IndexError):
                _ = photos[len(photos)]
        assert pickle.loads(pickle.dumps(data.photos(split)))[3].load().size == (48, 32)


def test_names_of_the_gallery(mini: Miniatures) -> None:
    expected = [(r["city"], r["state"], r["country"], r["continent"]) for r in rows_of(mini.mp16_filtered)]
    for data in (MP16Pro(mini.mp16_filtered), MP16Pro(mini.mp16_places365), three_k(mini, gallery=mini.mp16_filtered)):
        places = [photo.place for photo in data.photos("gallery")]
        assert [(p.city, p.state, p.country, p.continent) for p in places if p] == expected
    assert MP16Pro(mini.mp16_filtered).photos("retriever_train")[1].place == places[1]
    osv = OSV5M(mini.osv5m)
    place = osv.photos("test")[3].place
    assert place is not None
    assert (place.city, place.state, place.country) == ("New York", "New York", "UN")
    assert len(osv.photos("train")) == len(osv.photos("gallery")) == len(osv.photos("retriever_train")) == 32


Plain = tuple[object, ...]


def plainly(row: dict[str, str], retrieved: int, generated: int, negatives: int) -> tuple[list[Plain], list[Plain]]:
    """Read a row as the public code does, but for answers that it could not parse."""
    gps, texts, ids = (ast.literal_eval(row[f"candidate_{name}_lis"]) for name in ("gps", "text", "img"))
    names = [(text[1], text[3], text[5]) for text in texts]
    full = [(*gps[at], *names[at], ids[at], "retrieved") for at in range(len(gps))]
    guesses = [pair for pair in ast.literal_eval(row["zs_gps_lis"])[:generated] if pair != (0.0, 0.0)]
    candidates = [*full[:retrieved], *((*pair, "", "", "", None, "generated") for pair in guesses)]
    return candidates, full[-negatives:] if negatives else []


def as_plain(candidates: Sequence[Candidate]) -> list[Plain]:
    return [
        (
            *(c.place.latitude, c.place.longitude, c.place.city, c.place.state, c.place.country),
            c.photo.id if c.photo else None,
            c.source,
        )
        for c in candidates
    ]


@pytest.mark.parametrize("numbers", [(12, 3, 5), (20, 10, 5), (7, 0, 0), (1, 1, 20)])
@pytest.mark.parametrize("made", [three_k, four_k])
def test_cells_as_plainly_read(
    made: Callable[..., PaperTable], numbers: tuple[int, int, int], mini: Miniatures
) -> None:
    retrieved, generated, negatives = numbers
    data = made(mini, retrieved=retrieved, generated=generated, negatives=negatives)
    lists, rows = data.own_lists("test"), rows_of(data.tables["test"])
    assert lists is not None
    assert len(lists) == len(rows) == 24
    for found, row, photo in zip(lists, rows, data.photos("test"), strict=True):
        candidates, negative = plainly(row, *numbers)
        assert as_plain(found.candidates) == candidates
        assert as_plain(found.negatives) == negative
        assert found.photo == photo
        scores = [candidate.score for candidate in found.candidates]
        assert scores == sorted(scores, reverse=True)
        assert len(set(scores)) == len(scores), "on ties the first wins, retrieved before generated"
        assert [c.photo.load().size for c in found.candidates[:2] if c.photo][:1] == [(48, 32)]


def test_answers_that_could_not_be_parsed_are_counted(mini: Miniatures, caplog: pytest.LogCaptureFixture) -> None:
    answers = [pair for row in rows_of(mini.im2gps3k) for pair in ast.literal_eval(row["zs_gps_lis"])[:3]]
    unparsed = answers.count((0.0, 0.0))
    assert 0 < unparsed < len(answers)
    with caplog.at_level(logging.WARNING):
        lists = three_k(mini).own_lists("test")
    assert lists is not None
    assert all((c.place.latitude, c.place.longitude) != (0, 0) for found in lists for c in found.candidates)
    (line,) = [message for message in caplog.messages if "generated" in message]
    assert line.startswith(f"{mini.im2gps3k}: {unparsed} of {len(answers)} generated places are left out")


@pytest.mark.parametrize("numbers", [(12, 5), (20, 0), (3, 25)])
def test_neighbours_as_plainly_read(
    numbers: tuple[int, int], mini: Miniatures, caplog: pytest.LogCaptureFixture
) -> None:
    retrieved, negatives = numbers
    gallery, ranks = rows_of(mini.mp16_filtered), np.load(mini.yfcc4k_rows)
    data = YFCC4K(
        mini.yfcc4k_places365,
        gallery=mini.mp16_filtered,
        neighbours=mini.yfcc4k_rows,
        retrieved=retrieved,
        negatives=negatives,
    )
    with caplog.at_level(logging.WARNING):
        lists = data.own_lists("test")
    assert lists is not None
    assert "has 60 rows, MP16_Pro_filtered.csv has 4,122,110; if" in caplog.text
    for found, row in zip(lists, ranks, strict=True):
        full = [
            (float(g["LAT"]), float(g["LON"]), g["city"], g["state"], g["country"], g["IMG_ID"], "retrieved")
            for g in (gallery[at] for at in row)
        ]
        assert as_plain(found.candidates) == full[:retrieved]
        assert as_plain(found.negatives) == (full[-negatives:] if negatives else [])


def test_a_table_without_candidates_has_none(mini: Miniatures) -> None:
    data = IM2GPS3K(mini.im2gps3k_places365, collator=RankingCollator())
    assert data.own_lists("test") is None
    with pytest.raises(GeorankerError, match=r"data\.candidates is not set"):
        data.lists("test")
    with pytest.raises(GeorankerError, match="IM2GPS has no split 'val'; it has test"):
        IM2GPS(mini.im2gps).photos("val")
    with pytest.raises(GeorankerError, match="has no column 'zs_gps_lis'"):
        IM2GPS3K(without(mini.im2gps3k, "zs_gps_lis")).own_lists("test")
    assert IM2GPS3K(without(mini.im2gps3k, "zs_gps_lis"), generated=0).own_lists("test") is not None


def without(table: Path, column: str) -> Path:
    rows = [{name: cell for name, cell in row.items() if name != column} for row in rows_of(table)]
    return rewritten(table.with_name("without.csv"), rows)


def rewritten(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_swapped_columns(mini: Miniatures, tmp_path: Path) -> None:
    fix = "take a corrected copy, or set data.latitude_column=LON and data.longitude_column=LAT"
    for settings in ({}, {"on_bad_rows": "skip"}):
        with pytest.raises(GeorankerError, match=r"LAT and LON are swapped: 10 of 24 values in LAT .*" + fix):
            IM2GPS3K(mini.im2gps3k_swapped, **settings).photos("test")  # type: ignore[arg-type]
    right = IM2GPS3K(mini.im2gps3k_swapped, latitude_column="LON", longitude_column="LAT")
    assert list(right.photos("test")) == list(IM2GPS3K(mini.im2gps3k_places365).photos("test"))
    slip = rows_of(mini.im2gps3k_places365)
    slip[4]["LAT"] = "122.4"
    with pytest.raises(GeorankerError, match=r"line 6, column LAT: '122.4' is outside \[-90, 90\] degrees"):
        IM2GPS3K(rewritten(tmp_path / "slip.csv", slip)).photos("test")


def test_another_number_of_rows_is_warned_of(
    mini: Miniatures, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = rows_of(mini.yfcc26k)
    many = rewritten(tmp_path / "yfcc25600_places365.csv", [rows[at % len(rows)] for at in range(25_600)])
    with caplog.at_level(logging.WARNING):
        data = YFCC4K(many)
        data.photos("test")
        data.own_lists("test")
        YFCC26K(many).photos("test")
    assert caplog.messages == [f"{many}: has 25,600 rows, test of YFCC4K has 4,536; so many has YFCC26K"]


def test_millions_of_rows_are_no_objects(mini: Miniatures, tmp_path: Path) -> None:
    rows = rows_of(mini.mp16_filtered) * 300
    data = MP16Pro(rewritten(tmp_path / "MP16.csv", rows))
    with traced() as memory:
        photos = data.photos("gallery")
        assert data.photos("retriever_train") is photos, "a table is read once"
        held = memory()[0]
    assert held < 40 * len(rows), "two coordinates a row and no text; a Python object takes 50 bytes and more"
    assert len(pickle.dumps(photos)) < 150 * len(rows)


def test_a_row_of_the_gallery_that_cannot_be_used(
    mini: Miniatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows, ranks = rows_of(mini.mp16_filtered), np.load(mini.im2gps3k_rows)
    bad = int(ranks[2, 3])
    rows[bad]["LON"] = "181"
    gallery = rewritten(tmp_path / "MP16.csv", rows)

    def lists(**settings: object) -> Sequence[CandidateList]:
        data = IM2GPS3K(mini.im2gps3k_places365, gallery=gallery, neighbours=mini.im2gps3k_rows, **settings)  # type: ignore[arg-type]
        return data.lists("test")

    with pytest.raises(GeorankerError, match=rf"MP16\.csv, line {bad + 2}, column LON: '181' is outside"):
        lists()
    kept = [photo["IMG_ID"] for photo, row in zip(rows_of(mini.im2gps3k), ranks, strict=True) if bad not in row]
    assert 0 < len(kept) < 24
    assert [found.photo.id for found in lists(on_bad_rows="skip")] == kept
    assert [row["row"] for row in rows_of(tmp_path / "skipped_rows.test.gallery.csv")] == [str(bad + 2)]
    assert len(rows_of(tmp_path / "skipped_rows.test.csv")) == 24 - len(kept)
    spared = [row for row in ranks if bad in row and bad not in row[:2] and bad not in row[-1:]]
    assert spared, "a rank that is not taken does no harm"
    assert len(lists(on_bad_rows="skip", retrieved=2, negatives=1)) >= len(kept) + len(spared)
    with pytest.raises(ValueError, match="neighbours needs gallery"):
        IM2GPS3K(mini.im2gps3k_places365, neighbours=mini.im2gps3k_rows)


def test_osv5m_in_parts(mini: Miniatures, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_bytes((mini.osv5m / "test.csv").read_bytes())
    data = OSV5M(tmp_path)
    assert data.tables.keys() == {"test"}
    with pytest.raises(GeorankerError, match="no source holds its bytes"):
        data.photos("test")[0].load()
    for photo in OSV5M(mini.osv5m).photos("test"):
        assert photo.source is not None
        file = tmp_path / f"images/test/00/{photo.id}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(photo.source.read(photo.id))
    for part in ("train.csv", "images/train/00.zip", "images/train/01.zip"):  # which stay zipped beside them
        (tmp_path / part).parent.mkdir(exist_ok=True)
        (tmp_path / part).write_bytes((mini.osv5m / part).read_bytes())
    assert {photo.load().size for split in ("test", "train") for photo in OSV5M(tmp_path).photos(split)} == {(48, 32)}
    with pytest.raises(GeorankerError, match=r"holds neither test\.csv nor train\.csv"):
        OSV5M(tmp_path / "images")


class Looking(RankingCollator):
    """Reads the photos that are asked about, and those of candidates."""

    def __call__(self, lists: Sequence[CandidateList]) -> RankingBatch:
        for found in lists:
            for photo in (found.photo, *(c.photo for c in found.candidates if c.photo)):
                assert photo.load().size == (48, 32)
        return super().__call__(lists)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_loaders_give_lists_or_photos_also_from_a_spawned_worker(mini: Miniatures) -> None:
    def batches(workers: int) -> Iterator[RankingBatch]:
        loader = three_k(mini, collator=Looking(), batch_size=10, num_workers=workers).test_dataloader()
        loader.multiprocessing_context = "spawn" if workers else None
        yield from loader

    alone, spawned = list(batches(0)), list(batches(1))
    assert [len(batch) for batch in alone] == [10, 10, 4]
    for one, other in zip(alone, spawned, strict=True):
        assert one.photo_ids == other.photo_ids
        assert one.distances_km.nan_to_num(-1).equal(other.distances_km.nan_to_num(-1))
    photos = three_k(mini, collator=PhotoCollator(16)).test_dataloader()
    assert [id_ for batch in photos for id_ in batch.photo_ids] == [row["IMG_ID"] for row in rows_of(mini.im2gps3k)]


def test_the_fingerprint_tells_settings_but_not_places_on_disk(mini: Miniatures, tmp_path: Path) -> None:
    def told(data: PaperTable) -> str:
        assert not any(isinstance(value, Path) for value in data.hparams.values())
        return data.fingerprint(data.lists("test"))

    moved = tmp_path / "moved.csv"
    moved.write_bytes(mini.im2gps3k.read_bytes())
    assert told(three_k(mini)) == told(IM2GPS3K(moved, batch_size=2))
    assert told(three_k(mini)) != told(three_k(mini, negatives=4))
