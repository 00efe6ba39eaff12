"""The settings that cut a benchmark's own lists cut those of candidates files alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from georanker.candidate_table import CandidateTable
from georanker.candidates import write_candidates
from georanker.data.geo_ranking import GeoRanking
from georanker.data.im2gps3k import IM2GPS3K
from georanker.types import Candidate, CandidateList, GeorankerError
from tests.miniatures import Miniatures, write_miniatures


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Miniatures:
    return write_miniatures(tmp_path_factory.mktemp("miniatures"))


def seen(candidates: tuple[Candidate, ...]) -> list[object]:
    return [(each.place, each.photo, each.source) for each in candidates]


def whole(mini: Miniatures) -> list[CandidateList]:
    """The lists of a table, nothing cut; each candidate is a negative too."""
    return list(IM2GPS3K(mini.im2gps3k, retrieved=20, generated=10, negatives=20).lists("test"))


@pytest.mark.parametrize("numbers", [(12, 3, 5), (20, 10, 20), (7, 0, 0), (0, 2, 1), (99, 99, 99)])
def test_a_paper_table(numbers: tuple[int, int, int], mini: Miniatures, tmp_path: Path) -> None:
    retrieved, generated, negatives = numbers
    written = whole(mini)
    write_candidates(tmp_path / "test.parquet", written, "abc", None)
    data = IM2GPS3K(mini.im2gps3k, retrieved=retrieved, generated=generated, negatives=negatives, candidates=tmp_path)
    for found, full in zip(data.lists("test"), written, strict=True):
        first = [each for each in full.candidates if each.source == "retrieved"][:retrieved]
        guesses = [each for each in full.candidates if each.source == "generated"][:generated]
        assert seen(found.candidates) == seen((*first, *guesses))
        assert seen(found.negatives) == seen(full.negatives[max(0, 20 - negatives) :])
        assert found.photo == full.photo


def test_nothing_left_is_told(mini: Miniatures, tmp_path: Path) -> None:
    write_candidates(tmp_path / "test.parquet", whole(mini), "abc", None)
    data = IM2GPS3K(mini.im2gps3k, retrieved=0, generated=0, candidates=tmp_path)
    with pytest.raises(GeorankerError, match=r"test\.parquet, row 0 \(photo .*\): candidates is empty"):
        data.lists("test")


@pytest.mark.parametrize(("ranks", "negatives"), [((1, 7), 5), ((3, 4), 0)])
def test_georanking(ranks: tuple[int, int], negatives: int, mini: Miniatures, tmp_path: Path) -> None:
    data = GeoRanking(mini.georanking, ranks=(1, 19), negatives=8)
    write_candidates(tmp_path / "train.parquet", data.lists("train"), "abc", None)
    own = GeoRanking(mini.georanking, ranks=ranks, negatives=negatives)
    cut = GeoRanking(mini.georanking, ranks=ranks, negatives=negatives, candidates=tmp_path)
    assert pq.read_metadata(tmp_path / "train.parquet").num_rows == len(own.lists("train"))
    for found, other in zip(cut.lists("train"), own.lists("train"), strict=True):
        assert seen(found.candidates) == seen(other.candidates)
        assert seen(found.negatives) == seen(other.negatives)


def test_lists_about_other_photos_are_refused(
    mini: Miniatures, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of another benchmark, or of a table whose places were corrected since; fewer are told."""
    lists = whole(mini)
    data = IM2GPS3K(mini.im2gps3k, candidates=tmp_path)

    def with_lists(written: list[CandidateList]) -> CandidateTable:
        write_candidates(tmp_path / "test.parquet", written, "abc", None)
        return data.lists("test")

    assert len(with_lists(lists[::-1])) == len(lists)
    assert "have no list" not in caplog.text
    assert len(with_lists(lists[3:])) == len(lists) - 3
    assert f"3 of {len(lists)} photos have no list; figures are of the others" in caplog.text
    foreign = replace(lists[4], photo=replace(lists[4].photo, id="foreign.jpg"))
    with pytest.raises(
        GeorankerError, match=r"test\.parquet, row 4: photo foreign\.jpg is not there in .*im2gps3k\.csv; retri"
    ):
        with_lists([*lists[:4], foreign, *lists[5:]])
    place = lists[2].photo.place
    assert place is not None
    moved = replace(lists[2], photo=replace(lists[2].photo, place=replace(place, latitude=place.latitude + 1e-3)))
    with pytest.raises(GeorankerError, match=r"test\.parquet, row 2: photo .* has another place in .*im2gps3k\.csv"):
        with_lists([*lists[:2], moved, *lists[3:]])
