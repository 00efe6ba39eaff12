"""How far candidates are from the truth, drawn in the terminal."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from rich.table import Table

_WIDTH = 20
_EIGHTHS = ("", *"▏▎▍▌▋▊▉")


def distance_histogram(columns: Mapping[str, np.ndarray], radii_km: Sequence[float], title: str = "") -> Table:
    """Return a table with a row for each ring of distances, and a bar for the share that lies in it.

    Args:
        columns: distances in km by what they are of; NaN where unknown.
        radii_km: where the rings end; the last is open.
        title: above the table.
    """
    table = _table(title)
    table.add_column("km from the truth", justify="right")
    for name in columns:
        table.add_column(name, min_width=_WIDTH + 6)
    edges = (0.0, *radii_km, np.inf)
    known = [km[~np.isnan(km)] for km in columns.values()]
    shares = [np.histogram(km, edges)[0] / max(len(km), 1) for km in known]
    for at, (low, high) in enumerate(itertools.pairwise(edges)):
        ring = f"{low:,.0f} and more" if np.isinf(high) else f"{low:,.0f} to {high:,.0f}"
        table.add_row(ring, *(_bar(share[at]) for share in shares))
    return table


def within_table(rows: Mapping[str, np.ndarray], radii_km: Sequence[float]) -> Table:
    """Return a table of the percentage of photos within each radius.

    Args:
        rows: (N,) distances in km by whose answer they are of; infinite where there is no answer.
        radii_km: the radii.
    """
    table = _table("")
    table.add_column("% of photos within")
    for radius in radii_km:
        table.add_column(f"{radius:,.0f} km", justify="right")
    for name, km in rows.items():
        table.add_row(name, *(f"{100 * np.mean(km < radius):.1f}" for radius in radii_km))
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))


def _bar(share: float) -> str:
    whole, eighth = divmod(round(share * _WIDTH * 8), 8)
    return f"{100 * share:5.1f} {'█' * whole}{_EIGHTHS[eighth]}"
