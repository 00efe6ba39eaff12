"""Whether high scores are near."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import lightning as L
import numpy as np

from georanker.report.world_map import FAR, NEAR, NIGHT

from .base import Picture, when
from .ranked_list import RankedList

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FARTHEST_KM = 20_040.0
_QUIET = "#9fb0c3"


class ScoreAgainstDistance(Picture):
    """Draws how the candidates' scores fall with their distance from the truth.

    A score has a meaning only beside the others of its list, so each list's mean is taken off. Lists with one
    candidate, which say nothing then, and candidates without a finite score or distance are left out.

    Args:
        photos: how many lists to draw.
        bins: of the distance, on a logarithmic axis, and of the score.
    """

    def __init__(self, photos: int = 2000, bins: int = 48) -> None:
        super().__init__(photos)
        if bins < 2:
            raise ValueError(f"bins must be at least 2, not {bins}")
        self.bins = bins

    def draw(self, lists: Sequence[RankedList], trainer: L.Trainer, stage: str) -> Figure | None:
        """Return a histogram in two dimensions; None if no list has two candidates to compare."""
        compared = [pair for each in lists if (pair := _centred(each)) is not None]
        if not compared:
            return None
        distances_km, scores = np.concatenate(compared, axis=1)
        return _figure(
            distances_km, scores, self.bins, f"{when(trainer, stage)}: candidates of {len(compared):,} photos"
        )


def _centred(ranked: RankedList) -> np.ndarray | None:
    """Return (2, K) distances and scores less their mean."""
    usable = np.isfinite(ranked.scores) & np.isfinite(ranked.distances_km)
    if usable.sum() < 2:
        return None
    scores = ranked.scores[usable].astype(np.float64)
    distances_km = ranked.distances_km[usable].clip(1.0, _FARTHEST_KM)
    return np.stack([distances_km, scores - scores.mean()])


def _figure(distances_km: np.ndarray, scores: np.ndarray, bins: int, title: str) -> Figure:
    from matplotlib.colors import LinearSegmentedColormap, LogNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullLocator

    low, high = np.percentile(scores, 0.5, method="lower"), np.percentile(scores, 99.5, method="higher")
    if low == high:
        low, high = low - 1, high + 1
    nearest = min(1000.0, 10.0 ** np.floor(np.log10(np.percentile(distances_km, 0.1))))
    edges = np.geomspace(nearest, _FARTHEST_KM, bins + 1)
    rows = np.linspace(low, high, bins + 1)
    counts, _, _ = np.histogram2d(scores, distances_km, [rows, edges])

    figure = Figure(figsize=(9, 5.5), dpi=110, facecolor=NIGHT)
    axes = figure.add_axes((0.085, 0.125, 0.8, 0.775), facecolor=NIGHT)
    colours = LinearSegmentedColormap.from_list("night", ["#14283a", "#1f6f6b", NEAR, "#e9fff5"])
    norm = LogNorm(1, max(2.0, counts.max()))
    mesh = axes.pcolormesh(edges, rows, np.ma.masked_equal(counts, 0), cmap=colours, norm=norm)
    column = np.digitize(distances_km, edges[1:-1])
    filled = [at for at in range(bins) if (column == at).sum() >= 5]
    if filled:
        middles = np.sqrt(edges[:-1] * edges[1:])[filled]
        quartiles = np.array([np.percentile(scores[column == at], [25, 50, 75]) for at in filled]).clip(low, high)
        axes.plot(middles, quartiles[:, 1], color=FAR, lw=2, label="median")
        axes.plot(middles, quartiles[:, [0, 2]], color=FAR, lw=1, ls=(0, (4, 3)), label=["middle half", ""])
        axes.legend(loc="upper right", frameon=False, labelcolor="white", fontsize=10)
    axes.set(xscale="log", xlim=(nearest, _FARTHEST_KM), ylim=(low, high))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda km, _: f"{km:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("distance of the candidate from the truth, km", color=_QUIET, fontsize=10)
    axes.set_ylabel("score, less its list's mean", color=_QUIET, fontsize=10)
    axes.set_title(title, color="white", fontsize=11, loc="left", fontweight="bold", pad=10)
    axes.grid(color="white", alpha=0.07, lw=0.6)
    bar = figure.colorbar(mesh, cax=figure.add_axes((0.905, 0.125, 0.016, 0.775)))
    bar.set_label("candidates", color=_QUIET, fontsize=10)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.outline.set_visible(False)
    for each in (axes, bar.ax):
        each.tick_params(colors=_QUIET, labelsize=9, length=0)
        each.spines[:].set_visible(False)
    return figure
