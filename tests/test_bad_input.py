"""What users get wrong, at the command line: one clear line each, no traceback, nothing half-written."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from georanker.cli import main
from georanker.data.base import GeoDataModule
from georanker.types import GeorankerError, Photo, Place
from tests.conftest import ROOT, SMALL

CONSENSUS = f"--config={ROOT / 'configs/experiment/blue_marble_consensus.yaml'}"


class BrokenPhotos(GeoDataModule):
    """Photos of which one cannot be decoded and one is not there."""

    def photos(self, split: str) -> Sequence[Photo]:
        return [Photo(name, Place(1.0, 2.0), _Files()) for name in ("good", "broken" if split == "gallery" else "gone")]


class _Files:
    def read(self, photo_id: str) -> bytes:
        if photo_id == "gone":
            raise GeorankerError("photo gone: there is no such file")
        return b"P6 1 1 255\n\0\0\0" if photo_id == "good" else b"not an image"


def said(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(args)
    assert exit_.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def changed(source: Path, target: Path, row: int, **fields: object) -> None:
    """Copy a candidates file, and change fields of the first candidate of a row."""
    table = pq.read_table(source)
    rows = table.to_pylist()
    rows[row]["candidates"] = [{**rows[row]["candidates"][0], **fields}] if fields else []
    pq.write_table(pa.Table.from_pylist(rows, table.schema), target)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"latitude": 120.0}, "latitude 120 in candidates is outside [-90, 90] degrees"),
        ({"longitude": float("nan")}, "longitude nan in candidates is outside [-180, 180] degrees"),
        ({}, "candidates is empty"),
    ],
)
def test_a_row_of_the_candidates_file(
    fields: dict[str, object],
    complaint: str,
    small_run: Path,
    small_data: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changed(small_run / "candidates/test.parquet", tmp_path / "test.parquet", row=3, **fields)
    folders = [f"--trainer.default_root_dir={tmp_path / 'out'}", "--trainer.logger=False"]
    line = said(capsys, "predict", CONSENSUS, *small_data, *folders, f"--data.candidates={tmp_path}")
    assert line.startswith(f"georanker: candidates file {tmp_path / 'test.parquet'}, row 3 (photo test/24-3): ")
    assert line.endswith(complaint)
    assert not (tmp_path / "out" / "predictions.parquet").exists()


def test_a_gallery_whose_size_differs_from_its_places(
    small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gallery = tmp_path / "gallery"
    shutil.copytree(small_run / "gallery", gallery)
    np.save(gallery / "embeddings.npy", np.load(gallery / "embeddings.npy")[:-1])
    args = [
        f"--data={ROOT / 'configs/data/blue_marble_demo_photos.yaml'}",
        *SMALL,
        f"--retriever={small_run / 'retriever.ckpt'}",
        f"--out={tmp_path / 'candidates'}",
    ]
    line = said(capsys, "retrieve", *args, f"--gallery={gallery}")
    assert line.startswith(f"georanker: gallery {gallery}: places.parquet has 96 rows, embeddings.npy 95")
    assert not (tmp_path / "candidates").exists()


def test_a_place_that_a_gallery_cannot_take_is_told_before_embedding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("weeks of work")
    args = ["--data=tests.test_bad_input.BrokenPhotos", "--retriever=nowhere.ckpt"]  # which would be told next
    line = said(capsys, "index", *args, f"--out={tmp_path}")
    assert line == f"georanker: gallery {tmp_path}: mine.txt is there; name a folder of the gallery's own"
    line = said(capsys, "index", *args, f"--out={tmp_path / 'mine.txt' / 'gallery'}")
    assert line.startswith(f"georanker: {tmp_path / 'mine.txt' / 'gallery'}: cannot be written (")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_photo(workers: int, small_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data=tests.test_bad_input.BrokenPhotos", f"--data.num_workers={workers}"]
    args = [*data, f"--retriever={small_run / 'retriever.ckpt'}"]
    line = said(capsys, "index", *args, f"--out={tmp_path / 'gallery'}")
    assert line.startswith("georanker: photo broken: not an image; JPEG, ")
    out = f"--out={tmp_path / 'candidates'}"
    line = said(capsys, "retrieve", *args, f"--gallery={small_run / 'gallery'}", out, "--splits=[test]")
    assert line == "georanker: photo gone: there is no such file"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
