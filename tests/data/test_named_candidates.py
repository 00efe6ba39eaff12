"""Candidates in the cells of one's own table get the names that they lack; those of the paper's tables do not."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from georanker.data.geo_table import GeoTable
from georanker.data.im2gps3k import IM2GPS3K
from georanker.data.literals import parse_literal
from georanker.gazetteer import gazetteer
from georanker.types import Place
from tests.miniatures import write_miniatures

NAMES = [["Ours", "", ""], ["", "", "France"], ["", None, None], ["Nice", "Alpes", "France"]]


@pytest.mark.parametrize("named", [False, True])
def test_as_the_gazetteer_names_them(named: bool, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    settlements = gazetteer().places[random.integers(0, len(gazetteer().places), 60)]
    points = np.clip(settlements + random.normal(0, 0.7, (60, 2)), [-90, -180], [90, 180])
    points[:3] = [(90, 180), (-75, 0), (48.8584, 2.2945)]
    lengths = [1, 4, 20, 7, 28]
    ends = np.cumsum(lengths)[:-1]
    names = [NAMES[at] for at in random.integers(0, len(NAMES), 60)]
    columns = {
        "id": list("abcde"),
        "latitude": [1.0] * 5,
        "longitude": [2.0] * 5,
        "places": [part.tolist() for part in np.split(points, ends)],
        "names": [part.tolist() for part in np.split(np.array(names, object), ends)],
        "guesses": [[[48.8584, 2.2945]]] * 5,
    }
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    lists = GeoTable(
        test=tmp_path / "x.parquet",
        candidate_places_column="places",
        candidate_names_column="names" if named else None,
        generated_places_column="guesses",
        negatives=3,
    ).lists("test")
    given = [
        Place(latitude, longitude, *(each or "" for each in three if named))
        for (latitude, longitude), three in zip(points.tolist(), names, strict=True)
    ]
    expected = iter([replace(place, continent="") for place in gazetteer().named(given)])
    for found in lists:
        *retrieved, guess = found.candidates
        assert [each.place for each in retrieved] == [next(expected) for _ in retrieved]
        assert [each.place for each in found.negatives] == [each.place for each in retrieved[-3:]]
        assert guess.place == Place(48.8584, 2.2945), "the paper's prompt gives no names of guesses"
    assert next(expected, None) is None
    cities = {each.place.city for found in lists for each in found.candidates}
    assert {"Nice", "Ours"} <= cities if named else "Neuilly-sur-Seine" in cities


def test_prompts_of_the_paper_have_the_names_of_its_tables(tmp_path: Path) -> None:
    table = write_miniatures(tmp_path).im2gps3k
    with table.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    unnamed = header.index("candidate_text_lis")
    for row in rows:
        row[unnamed] = str([[""] * 6] * len(parse_literal(row[unnamed])))  # type: ignore[arg-type]
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    for found in IM2GPS3K(table).lists("test"):
        assert not any(each.place.names for each in (*found.candidates, *found.negatives))
