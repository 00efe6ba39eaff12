"""`georanker retrieve` writes what a ranker is trained with: candidates, negatives, and names of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from georanker.candidates import CandidatesFile
from georanker.cli import main
from georanker.gazetteer import ATTRIBUTION, gazetteer
from georanker.retrievers.gallery import Gallery
from tests.conftest import ROOT, SMALL
from tests.test_bad_input import said


def command(small_run: Path, out: Path, *more: str) -> list[str]:
    photos = [f"--data={ROOT / 'configs/data/blue_marble_demo_photos.yaml'}", *SMALL]
    tools = [f"--retriever={small_run / 'retriever.ckpt'}", f"--gallery={small_run / 'gallery'}", "--splits=[test]"]
    return ["retrieve", *photos, f"--data.cache={small_run / 'cache'}", *tools, f"--out={out}", *more]


def test_candidates_are_named_and_negatives_follow_them(small_run: Path, tmp_path: Path) -> None:
    main(command(small_run, tmp_path, "--top_k=6", "--negatives=3"))
    gallery = Gallery.load(small_run / "gallery")
    lists = CandidatesFile(tmp_path / "test.parquet")
    assert len(lists) == 24
    for found in lists:
        assert (len(found.candidates), len(found.negatives)) == (6, 3)
        assert found.embedding is not None
        nearest = np.sort(gallery.embeddings @ found.embedding)[::-1][:9]
        both = (*found.candidates, *found.negatives)
        assert [candidate.score for candidate in both] == pytest.approx(nearest.tolist(), abs=1e-6)
        rows = [candidate.gallery_row for candidate in both]
        plain = [gallery.candidate(row, 0.0).place for row in rows if row is not None]
        assert [candidate.place.names for candidate in both] == [each.names for each in gazetteer().named(plain)]
    assert any(candidate.place.names for found in lists for candidate in found.candidates)
    assert ATTRIBUTION in pq.read_schema(tmp_path / "test.parquet").metadata[b"georanker.candidates"].decode()


def test_a_small_gallery_gives_what_it_has(small_run: Path, tmp_path: Path) -> None:
    main(command(small_run, tmp_path, "--top_k=94"))
    assert {(len(found), len(found.negatives)) for found in CandidatesFile(tmp_path / "test.parquet")} == {(94, 2)}
    main(command(small_run, tmp_path, "--top_k=200", "--negatives=0"))
    assert {(len(found), len(found.negatives)) for found in CandidatesFile(tmp_path / "test.parquet")} == {(96, 0)}


def test_counts_that_cannot_be(small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "top_k must be at least 1, not 0" in said(capsys, *command(small_run, tmp_path, "--top_k=0"))
    assert "negatives must be at least 0, not -1" in said(capsys, *command(small_run, tmp_path, "--negatives=-1"))
