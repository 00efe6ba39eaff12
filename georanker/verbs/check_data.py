"""Look at data before it costs a training."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from georanker.files import file_beside

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from georanker.checks.base import Finding, Lists, Split
    from georanker.data.base import GeoDataModule


def check_data(
    data: GeoDataModule,
    splits: Sequence[str] | None = None,
    photos: int | None = None,
    out: Path | None = None,
) -> None:
    """Check a benchmark: its photos, its coordinates, and its lists of candidates.

    What is wrong is told with counts, the first rows and a fix, and the exit status is then 1. Every photo is read and
    decoded, in `data.num_workers` processes.

    Args:
        data: the benchmark.
        splits: which splits to look at; all that the benchmark has by default.
        photos: how many photos of each split to read, evenly spread; all by default.
        out: a CSV file for all that is wrong, with split, mistake, row and fix; the first of each are shown anyway.
    """
    from rich.console import Console

    from georanker.checks.base import Check
    from georanker.checks.data_walk import DataWalk
    from georanker.discovery import classes

    console = Console()
    walk = DataWalk(data, photos)
    opened = walk.splits(splits)
    checks = [found() for found in classes("georanker.checks") if issubclass(found, Check) and found is not Check]
    findings = [*walk.findings, *(finding for check in checks for finding in check.findings(opened))]

    console.print(_overview(opened))
    for split in opened:
        if split.lists is not None and len(split.lists):
            _draw(console, split.name, split.lists)
    for finding in findings:
        _tell(console, finding)
    console.print()
    if out is not None:
        _write(out, findings)
    if findings:
        console.print(f"kinds of mistakes: {len(findings)}", style="bold red")
        sys.exit(1)
    console.print("nothing is wrong", style="bold green")


def _overview(splits: Sequence[Split]) -> Table:
    """Return how much there is of each split."""
    import numpy as np
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("split", no_wrap=True)
    for name in ("photos", "placed", "decoded", "lists", "candidates", "decoded"):
        table.add_column(name, justify="right")
    for split in splits:
        placed = (~np.isnan(split.places).any(1)).sum()
        lists = ("", "") if split.lists is None else (f"{len(split.lists):,}", f"{len(split.lists.row):,}")
        own, others = (
            f"{sum(not look.fault for look in looks.values()):,}" for looks in (split.looks, split.candidate_looks)
        )
        table.add_row(split.name, f"{len(split.ids):,}", f"{placed:,}", own, *lists, others if split.lists else "")
    return table


def _draw(console: Console, name: str, lists: Lists) -> None:
    """Print how far the candidates of a split are from the truth, and what the best and the first would reach."""
    import numpy as np

    from georanker.metrics.inputs import RADII_KM
    from georanker.report.distance_histogram import distance_histogram, within_table

    known = ~np.isnan(lists.truth).any(1)
    if not known.any():
        return
    best_km = lists.best_km(lists.distance_km)[known]
    columns = {"all candidates, %": lists.distance_km, "best of each list, %": best_km}
    console.print()
    console.print(distance_histogram(columns, RADII_KM, f"{name}: {known.sum():,} lists whose truth is known"))
    console.print()
    console.print(within_table({"first candidate": lists.first_km()[known], "oracle, the best": best_km}, RADII_KM))


def _write(out: Path, findings: Sequence[Finding]) -> None:
    """Write all rows of what is wrong; of bad rows in tables, the first of each kind."""
    with file_beside(out) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["split", "mistake", "row", "fix"])
        for finding in findings:
            writer.writerows([finding.split, finding.what, row, finding.fix] for row in finding.rows)


def _tell(console: Console, finding: Finding) -> None:
    from rich.text import Text

    from georanker.checks.base import SHOWN

    heading = Text.assemble("\n", (finding.split, "bold red"), f"  {finding.what}: ", (f"{finding.count:,}", "bold"))
    console.print(heading)
    shown = finding.rows[:SHOWN]
    for row in shown:
        console.print(f"    {row}", style="dim", markup=False, highlight=False, soft_wrap=True)
    if finding.count > len(shown):
        console.print(f"    and {finding.count - len(shown):,} more", style="dim")
    console.print(f"  {finding.fix}", markup=False, highlight=False, soft_wrap=True)
