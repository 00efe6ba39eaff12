"""A map of the world with answers and truths."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from georanker.files import file_beside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEAR, FAR, NIGHT = "#3ddc97", "#ff5a5f", "#0b1320"
"""The colours of answers that count as right, of the others, and of what lies behind both."""


def world_map(
    predictions: Path, path: Path, radius_km: float = 200.0, shown: int = 400, background: Path | None = None
) -> None:
    """Draw truths, answers and the lines between them.

    Args:
        predictions: the file that PredictionWriter wrote; photos of unknown place are left out.
        path: the PNG to write.
        radius_km: answers nearer than this count as right.
        shown: how many photos to draw, evenly spread over the file.
        background: an equirectangular picture of the Earth.
    """
    columns = ["true_latitude", "true_longitude", "latitude", "longitude", "error_km"]
    table = pq.read_table(predictions, columns=columns)
    rows = np.stack([table[name].to_numpy() for name in columns], axis=1)
    rows = rows[~np.isnan(rows[:, 4])]
    share = float((rows[:, 4] < radius_km).mean()) if len(rows) else float("nan")
    rows = rows[np.linspace(0, len(rows) - 1, min(shown, len(rows))).astype(int)] if len(rows) else rows
    figure = draw_world_map(rows[:, :2], rows[:, 2:4], rows[:, 4], radius_km, share, background)
    with file_beside(path) as part:
        figure.savefig(part, format="png")


def draw_world_map(
    truth: np.ndarray,
    answer: np.ndarray,
    error_km: np.ndarray,
    radius_km: float = 200.0,
    share: float | None = None,
    background: Path | None = None,
    title: str = "",
) -> Figure:
    """Return a figure of truths, answers and the lines between them.

    Args:
        truth: (N, 2) degrees, latitude first.
        answer: (N, 2) degrees.
        error_km: (N,) from truth to answer.
        radius_km: answers nearer than this count as right.
        share: the share of right answers to write down, if it is counted over more photos than are drawn.
        background: an equirectangular picture of the Earth.
        title: above the legend.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    right = error_km < radius_km
    if share is None:
        share = float(right.mean()) if len(right) else float("nan")
    truth, answer = truth[:, ::-1], answer[:, ::-1]
    # Lines go the short way; one that leaves the map on one side is drawn a second time, coming in on the other.
    ahead = np.stack([truth[:, 0] + (answer[:, 0] - truth[:, 0] + 180) % 360 - 180, answer[:, 1]], axis=1)
    behind = truth + (answer - ahead)
    crossing = ~right & (np.abs(answer[:, 0] - ahead[:, 0]) > 180)
    lines = np.concatenate(
        [np.stack([truth, ahead], axis=1)[~right], np.stack([behind, answer], axis=1)[crossing]], axis=0
    )

    figure = Figure(figsize=(14, 7), dpi=110, facecolor=NIGHT)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    if background is not None:
        axes.imshow(_night(background), extent=(-180, 180, -90, 90), aspect="auto")
    axes.set(xlim=(-180, 180), ylim=(-90, 90), xticks=[], yticks=[], facecolor=NIGHT)
    axes.spines[:].set_visible(False)
    axes.add_collection(LineCollection(list(lines), colors=FAR, linewidths=0.7, alpha=0.55))
    axes.scatter(answer[~right, 0], answer[~right, 1], s=9, color=FAR, linewidths=0)
    axes.scatter(truth[~right, 0], truth[~right, 1], s=12, facecolors="none", edgecolors="white", linewidths=0.6)
    axes.scatter(truth[right, 0], truth[right, 1], s=12, color=NEAR, linewidths=0)
    handles = [
        Line2D([], [], marker="o", ls="", color=NEAR, label=f"answered within {radius_km:g} km ({share:.0%})"),
        Line2D([], [], marker="o", ls="", mfc="none", mec="white", label="truth of a photo answered farther off"),
        Line2D([], [], marker="o", color=FAR, label="the answer given for it"),
    ]
    legend = axes.legend(
        handles=handles,
        loc="lower left",
        frameon=True,
        fontsize=10,
        labelcolor="white",
        title=title or None,
        alignment="left",
    )
    legend.get_frame().set(facecolor=NIGHT, edgecolor="none", alpha=0.8)
    legend.get_title().set(color="white", fontsize=10, fontweight="bold")
    return figure


@lru_cache(maxsize=1)
def _night(background: Path) -> np.ndarray:
    """Return a picture of the Earth, darkened so that points stand out; kept, since epochs draw it again and again."""
    from PIL import Image

    with Image.open(background) as image:
        image.draft("RGB", (1440, 720))  # a JPEG is decoded at a fraction of its size
        picture = np.asarray(image.convert("RGB").resize((1440, 720)), np.float32)
    return (picture * 0.55 + 255 * 0.04).astype(np.uint8)
