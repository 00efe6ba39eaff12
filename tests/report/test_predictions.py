"""Files of answers as columns: distances and figures agree with another library, and what cannot be is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from geopy.distance import geodesic

from georanker.report.predictions import Predictions
from georanker.types import GeorankerError
from tests.report.answers import some_answers, written

RADII_KM = (25.0, 200.0, 2500.0)


def place(of: dict[str, Any], prefix: str = "") -> tuple[float, float]:
    return of[f"{prefix}latitude"], of[f"{prefix}longitude"]


def test_figures_agree_with_geopy(tmp_path: Path) -> None:
    rows = some_answers(40)
    rows[3] |= {"true_latitude": None, "true_longitude": None}  # is in no figure
    found = Predictions.read(written(rows, tmp_path / "answers.parquet")).figures(RADII_KM)
    rows.pop(3)
    errors = {
        "retrieved": [geodesic(place(row, "true_"), place(row, "retrieved_")).km for row in rows],
        "ranked": [geodesic(place(row, "true_"), place(row)).km for row in rows],
        "oracle": [min(geodesic(place(row, "true_"), place(c)).km for c in row["candidates"]) for row in rows],
    }
    for answer, km in errors.items():
        for radius in RADII_KM:
            assert found[answer][f"acc@{radius:g}km"] == pytest.approx(np.mean(np.array(km) < radius), abs=1e-12)
        assert found[answer]["median_km"] == pytest.approx(np.median(km), abs=1e-6)
        assert found[answer]["mean_km"] == pytest.approx(np.mean(km), abs=1e-6)
    assert len({tuple(row.values()) for row in found.values()}) == 3


def test_ranks(tmp_path: Path) -> None:
    rows = some_answers(5)
    rows[2]["candidates"] = rows[2]["candidates"][:1]  # lists may differ in length
    for row, rank in zip(rows, (0, 11, 0, 4, -1), strict=True):
        at = row["candidates"][rank] if rank >= 0 else {"latitude": 1.0, "longitude": 2.0}
        row |= {"retrieved_latitude": at["latitude"], "retrieved_longitude": at["longitude"]}
    rows[3]["candidates"][7] |= {"latitude": rows[3]["true_latitude"], "longitude": rows[3]["true_longitude"]}
    found = Predictions.read(written(rows, tmp_path / "answers.parquet"))
    assert found.retrieved_ranks.tolist() == [0, 11, 0, 4, -1]
    assert (found.nearest - found.starts[:-1])[3] == 7
    assert found.candidates_km[found.nearest[3]] == 0
    assert len(found.owners) == 4 * 12 + 1


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"latitude": float("nan")}, "latitude nan is outside [-90, 90] degrees"),
        ({"retrieved_longitude": 200.0}, "retrieved_longitude 200 is outside [-180, 180] degrees"),
        ({"true_latitude": -91.0}, "true_latitude -91 is outside [-90, 90] degrees"),
        ({"true_latitude": None}, "true_latitude and true_longitude must both be there, or neither"),
        ({"candidates": []}, "candidates is empty"),
        ({"candidates": None}, "candidates is empty"),
        ({"photo_id": ""}, "photo_id is empty"),
        ({"photo_id": None}, "photo_id is empty"),
    ],
)
def test_what_cannot_be_names_file_row_and_field(change: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    rows = some_answers(4)
    rows[2] |= change
    path = written(rows, tmp_path / "answers.parquet")
    with pytest.raises(GeorankerError) as error:
        Predictions.read(path)
    assert str(error.value).startswith(f"{path}, row 2 (photo ")
    assert str(error.value).endswith(complaint)


def test_a_file_that_knows_of_no_truth_need_not_say_so(tmp_path: Path) -> None:
    rows = [row | {"true_latitude": None, "true_longitude": None} for row in some_answers(4)]
    path = written(rows, tmp_path / "answers.parquet")
    expected = Predictions.read(path)
    pq.write_table(pq.read_table(path).drop_columns(["true_latitude", "true_longitude", "error_km"]), path)
    found = Predictions.read(path)
    assert not found.known.any()
    assert (found.places == expected.places).all()
    pq.write_table(pq.read_table(written(some_answers(4), path)).drop_columns(["true_latitude"]), path)
    with pytest.raises(GeorankerError, match=r"row 0 .* true_latitude and true_longitude must both be there, or"):
        Predictions.read(path)


def test_a_candidate_that_cannot_be_is_told_by_its_photo(tmp_path: Path) -> None:
    rows = some_answers(4)
    rows[1]["candidates"][5]["longitude"] = float("nan")
    with pytest.raises(GeorankerError, match=r"row 1 \(photo query/1.jpg\): candidates' longitude nan is outside"):
        Predictions.read(written(rows, tmp_path / "answers.parquet"))


def test_files_that_are_something_else(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    with pytest.raises(GeorankerError, match="not there; `georanker predict` writes"):
        Predictions.read(path)
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(GeorankerError, match="not a file of answers, it has no column photo_id"):
        Predictions.read(path)
    names = [*some_answers(1)[0]]
    pq.write_table(pa.table({name: ["x"] for name in names}), path)
    with pytest.raises(GeorankerError, match="cannot be read as a file of answers"):
        Predictions.read(path)
    path.write_text("latitude,longitude\n")
    with pytest.raises(GeorankerError, match="cannot be read as a file of answers") as error:
        Predictions.read(path)
    assert "\n" not in str(error.value)
    pq.write_table(pq.read_table(written(some_answers(4), path)), path, compression="none")
    path.write_bytes(path.read_bytes().replace(b"query/1", b"\xffuery/1"))
    with pytest.raises(GeorankerError, match=r"cannot be read as a file of answers .*UTF8"):
        Predictions.read(path)
    with pytest.raises(GeorankerError, match="holds no answer"):
        Predictions.read(written([], path))
    with pytest.raises(GeorankerError, match="cannot be read as a file of answers"):
        Predictions.read(tmp_path)
