"""The table that ends a run: what was retrieved, what ranking made of it, and what the candidates would allow."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

ROWS = ("retrieved", "ranked", "oracle")


def figures(metrics: Mapping[str, float], stage: str = "test") -> dict[str, dict[str, float]]:
    """Sort the figures that a ranker logs by whose answer they judge.

    Args:
        metrics: as the trainer has them, `{stage}/{answer}/{name}`.
        stage: which of them.

    >>> figures({"test/ranked/acc@25km": 0.5, "test/regret": 3.0})
    {'retrieved': {}, 'ranked': {'acc@25km': 0.5}, 'oracle': {}}
    """
    sorted_figures: dict[str, dict[str, float]] = {row: {} for row in ROWS}
    for key, value in metrics.items():
        parts = key.split("/")
        if len(parts) == 3 and parts[0] == stage and parts[1] in sorted_figures:
            sorted_figures[parts[1]][parts[2]] = float(value)
    return sorted_figures


def results_table(rows: Mapping[str, Mapping[str, float]], title: str = "") -> Table:
    """Return a table with a row for each answer, and a last one for what ranking gained.

    Args:
        rows: figures by name, by answer; accuracies as fractions, shown in percent.
        title: above the table.
    """
    names = list(rows["ranked"])
    accuracies = [name for name in names if name.startswith("acc@")]
    others = [name for name in ("median_km", "mean_km") if name in names]
    table = Table(
        title=Text(title), title_justify="left", box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0)
    )
    table.add_column("% of photos within")
    for name in accuracies:
        table.add_column(name.removeprefix("acc@").replace("km", " km"), justify="right")
    for name in others:
        table.add_column(name.replace("_", " "), justify="right")
    for answer, row in rows.items():
        cells = [f"{100 * row[name]:.1f}" for name in accuracies] + [f"{row[name]:,.0f}" for name in others]
        table.add_row(answer, *cells, style="bold" if answer == "ranked" else "dim" if answer == "oracle" else "")
    gain = {name: rows["ranked"][name] - rows["retrieved"][name] for name in names}
    cells = [f"{100 * gain[name]:+.1f}" for name in accuracies] + [f"{gain[name]:+,.0f}" for name in others]
    table.add_row("ranking gained", *cells, style="green")
    return table
