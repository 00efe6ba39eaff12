"""The histogram counts each candidate that can be compared, once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import lightning as L
import numpy as np
import pytest
from georanker.callbacks import ScoreAgainstDistance
from georanker.callbacks.ranked_list import RankedList
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

TRAINER = cast(L.Trainer, SimpleNamespace(global_step=7))


def ranked(distances_km: list[float], scores: list[float]) -> RankedList:
    order = np.arange(len(scores))
    return RankedList("photo", np.zeros(2), order, np.zeros((len(scores), 2)), np.array(distances_km), np.array(scores))


def drawn(*lists: RankedList) -> Figure:
    figure = ScoreAgainstDistance(bins=32).draw(lists, TRAINER, "val")
    assert figure is not None
    return cast(Figure, figure)


def counted(figure: Figure) -> np.ndarray:
    (mesh,) = (each for each in figure.axes[0].collections if isinstance(each, QuadMesh))
    return np.ma.filled(np.ma.asarray(mesh.get_array()), 0).reshape(32, 32)


def test_each_comparable_candidate_counts_once_but_for_the_outermost_scores() -> None:
    random = np.random.default_rng(0)
    lists = [ranked(random.uniform(0, 20_000, 20).tolist(), random.normal(size=20).tolist()) for _ in range(50)]
    assert counted(drawn(*lists)).sum() == pytest.approx(1000 * 0.99, abs=4)
    assert counted(drawn(*lists[:5])).sum() == 100


def test_the_level_of_a_list_says_nothing() -> None:
    random = np.random.default_rng(0)
    shapes = [(random.uniform(1, 20_000, 9), random.normal(size=9)) for _ in range(30)]
    plain = drawn(*(ranked(km.tolist(), scores.tolist()) for km, scores in shapes))
    raised = drawn(*(ranked(km.tolist(), (scores + 64 * at).tolist()) for at, (km, scores) in enumerate(shapes)))
    assert np.abs(counted(plain) - counted(raised)).sum() <= 2, "rounding may move one over an edge"


def test_the_median_falls_where_near_scores_high() -> None:
    km = np.geomspace(20, 15_000, 400)
    (line, *_) = drawn(ranked(km.tolist(), (-np.log(km)).tolist())).axes[0].lines
    heights = np.asarray(line.get_ydata(), float)
    assert (np.diff(heights) < 0).all()


def test_what_cannot_be_compared_is_left_out() -> None:
    nan, inf = float("nan"), float("inf")
    nothing = [ranked([5.0], [1.0]), ranked([nan, nan], [1.0, 2.0]), ranked([1.0, 2.0], [nan, 3.0])]
    assert ScoreAgainstDistance().draw(nothing, TRAINER, "val") is None
    some = drawn(*nothing, ranked([10.0, 100.0, 1000.0, 50.0], [3.0, 2.0, 1.0, -inf]))
    assert counted(some).sum() == 3
    assert "val after 7 steps: candidates of 1 photos" in some.axes[0].get_title("left")


def test_scores_that_are_all_equal_and_photos_of_the_very_place() -> None:
    assert counted(drawn(ranked([0.0, 0.0, 20_003.9], [1.0, 1.0, 1.0]))).sum() == 3


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="bins must be at least 2, not 1"):
        ScoreAgainstDistance(bins=1)
