"""The drawing of candidates' distances says what the metrics say."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
import torch
from rich.console import Console
from rich.table import Table

from georanker.metrics.distance_accuracy import distance_accuracy
from georanker.metrics.inputs import RADII_KM
from georanker.report.distance_histogram import distance_histogram, within_table


def drawn(table: Table, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_rings_hold_every_known_distance_once() -> None:
    km = np.array([0.0, 0.9, 1.0, 24.0, 25.0, 199.0, 3000.0, 20000.0, np.nan, np.inf])
    text = drawn(distance_histogram({"all, %": km, "none, %": np.zeros(0)}, RADII_KM, "test"))
    rows = re.findall(r"^ +([\d,]+ (?:to|and) (?:[\d,]+|more)) +([\d.]+) (█*[▏▎▍▌▋▊▉]?) +0\.0", text, re.MULTILINE)
    assert [name for name, _, _ in rows] == [
        *("0 to 1", "1 to 25", "25 to 200", "200 to 750", "750 to 2,500", "2,500 and more")
    ]
    assert [float(share) for _, share, _ in rows] == [22.2, 22.2, 22.2, 0.0, 0.0, 33.3]
    assert [len(bar) for _, _, bar in rows] == [5, 5, 5, 0, 0, 7]


def test_whole_bars_fit_into_80_columns() -> None:
    columns = {"all candidates, %": np.zeros(3), "best of each list, %": np.zeros(3)}
    text = drawn(distance_histogram(columns, RADII_KM), 80)
    assert text.splitlines()[1].count("█") == 2 * text.splitlines()[1].split()[4].count("█") > 20
    assert max(map(len, text.splitlines())) <= 80


def test_shares_within_radii_are_those_of_the_metric() -> None:
    random = np.random.default_rng(0)
    truth = torch.from_numpy(random.uniform((-80, -170), (80, 170), (50, 2)))
    answer = truth + torch.from_numpy(10 ** random.uniform(-3, 1, (50, 1)))
    from georanker.geodesy import geodesic_km

    km = geodesic_km(answer, truth).numpy()
    expected = distance_accuracy(answer, truth).tolist()
    text = drawn(within_table({"answer": km, "nobody": np.full(3, np.inf)}, RADII_KM))
    shares = re.findall(r"[\d.]+", text.splitlines()[1].removeprefix("answer"))
    assert [float(share) for share in shares] == pytest.approx([100 * share for share in expected], abs=0.05)
    assert text.splitlines()[2].split() == ["nobody", *["0.0"] * 5]
