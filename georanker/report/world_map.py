"""A map of the world with answers and truths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from georanker.files import file_beside

_NEAR, _FAR = "#3ddc97", "#ff5a5f"


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
    import matplotlib.pyplot as plt
    from matplotlib.collections import LineCollection
    from matplotlib.lines import Line2D

    columns = ["true_longitude", "true_latitude", "longitude", "latitude", "error_km"]
    table = pq.read_table(predictions, columns=columns)
    rows = np.stack([table[name].to_numpy() for name in columns], axis=1)
    rows = rows[~np.isnan(rows[:, 4])]
    share = (rows[:, 4] < radius_km).mean() if len(rows) else float("nan")
    rows = rows[np.linspace(0, len(rows) - 1, min(shown, len(rows))).astype(int)] if len(rows) else rows
    truth, answer, right = rows[:, :2], rows[:, 2:4].copy(), rows[:, 4] < radius_km
    # Across the antimeridian the short way leaves the map on one side.
    answer[:, 0] = truth[:, 0] + (answer[:, 0] - truth[:, 0] + 180) % 360 - 180

    figure, axes = plt.subplots(figsize=(14, 7), dpi=110, facecolor="#0b1320")
    axes.set_position((0.0, 0.0, 1.0, 1.0))
    if background is not None:
        from PIL import Image

        with Image.open(background) as image:
            picture = np.asarray(image.convert("RGB").resize((1440, 720)), np.float32)
        axes.imshow(picture / 255 * 0.55 + 0.04, extent=(-180, 180, -90, 90), aspect="auto")
    axes.set(xlim=(-180, 180), ylim=(-90, 90), xticks=[], yticks=[], facecolor="#0b1320")
    lines = np.stack([truth[~right], answer[~right]], axis=1)
    axes.add_collection(LineCollection(list(lines), colors=_FAR, linewidths=0.7, alpha=0.55))
    axes.scatter(answer[~right, 0], answer[~right, 1], s=9, color=_FAR, linewidths=0)
    axes.scatter(truth[~right, 0], truth[~right, 1], s=12, facecolors="none", edgecolors="white", linewidths=0.6)
    axes.scatter(truth[right, 0], truth[right, 1], s=12, color=_NEAR, linewidths=0)
    handles = [
        Line2D([], [], marker="o", ls="", color=_NEAR, label=f"answered within {radius_km:g} km ({share:.0%})"),
        Line2D([], [], marker="o", ls="", mfc="none", mec="white", label="truth of a photo answered farther off"),
        Line2D([], [], marker="o", color=_FAR, label="the answer given for it"),
    ]
    legend = axes.legend(handles=handles, loc="lower left", frameon=True, fontsize=10, labelcolor="white")
    legend.get_frame().set(facecolor="#0b1320", edgecolor="none", alpha=0.8)
    with file_beside(path) as part:
        figure.savefig(part, format="png")
    plt.close(figure)
