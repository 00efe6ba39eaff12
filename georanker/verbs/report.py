"""Make a page of what a run answered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from georanker.types import GeorankerError

if TYPE_CHECKING:
    from georanker.data.base import GeoDataModule


def report(
    predictions: Path,
    /,
    out: Path = Path("report.html"),
    data: GeoDataModule | None = None,
    photos: Path | None = None,
    gallery_photos: Path | None = None,
    title: str = "",
    radii_km: Sequence[float] | None = None,
    shown: int = 10_000,
) -> None:
    """Show what a run answered: figures, a map to pan and zoom, the worst, the best, and examples, in one HTML file.

    The file needs no network and nothing beside it. Photos come from where the run had them, if they are still there.

    Args:
        predictions: a run's folder, or the parquet file that `georanker predict` wrote.
        out: the HTML file to write.
        data: the benchmark that the photos come from; by default the one that the run's own config names.
        photos: a folder, .tar or .zip with the photos, in place of the benchmark's.
        gallery_photos: a folder, .tar or .zip with the candidates' photos, in place of the benchmark's.
        title: above the page; the run's name by default.
        radii_km: of the table, rising; by default those of the run's metrics.json, or 1, 25, 200, 750 and 2500.
        shown: how many photos are drawn, evenly spread; the figures are always those of all.
    """
    from rich.console import Console

    from georanker.data.blue_marble_tiles import EARTH_CREDIT, earth_picture
    from georanker.metrics.inputs import RADII_KM, checked_radii
    from georanker.report.html_report import told, write_report
    from georanker.report.results_table import results_table
    from georanker.stores.open_store import open_store

    console = Console(soft_wrap=True)
    file = _answers(predictions)
    radii_km = radii_km or run_radii(file.parent) or RADII_KM
    title = title or (predictions.resolve().name if predictions.is_dir() else predictions.stem)
    try:
        checked_radii(radii_km)
    except ValueError as error:
        raise GeorankerError(str(error)) from error
    if shown < 1:
        raise GeorankerError(f"shown must be at least 1, not {shown}")
    if data is None and not (photos and gallery_photos) and predictions.is_dir():
        data = own_data(predictions)
    background = earth_picture()
    opened = open_store if data is None else data.opened
    written = write_report(
        file,
        out,
        title=title,
        radii_km=radii_km,
        photo_source=opened(photos) if photos else getattr(data, "photo_source", None),
        gallery_source=open_store(gallery_photos) if gallery_photos else getattr(data, "gallery_source", None),
        background=background,
        credit=EARTH_CREDIT if background else "",
        shown=shown,
    )
    if written.figures:
        console.print(results_table(written.figures, title))
        console.print()
    if written.faults:
        console.print(told(written.faults), markup=False, highlight=False)
    console.print(f"  report       {out}", markup=False, highlight=False)


def own_data(run: Path) -> GeoDataModule | None:
    """Build the benchmark that the newest config in a run's folder names; None if there is none."""
    import yaml
    from jsonargparse import ArgumentError, ArgumentParser

    from georanker.data.base import GeoDataModule

    configs = sorted(run.glob("**/*config.yaml"), key=lambda path: path.stat().st_mtime)
    if not configs:
        return None
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--data", type=GeoDataModule, required=True)
    try:
        spec = yaml.safe_load(configs[-1].read_text(encoding="utf-8"))["data"]
        data: GeoDataModule = parser.instantiate(parser.parse_object({"data": spec})).data
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError, ArgumentError) as error:
        reason = str(error).strip().splitlines()[0]
        raise GeorankerError(
            f"{configs[-1]}: its data cannot be built ({reason}); name --data, or give predictions.parquet itself for "
            "a page without photos"
        ) from error
    return data


def _answers(given: Path) -> Path:
    if not given.is_dir():
        return given
    file = given / "predictions.parquet"
    if file.exists():
        return file
    if file.with_suffix(".parts").exists():
        raise GeorankerError(f"{given}: its answers are not finished; run the same `georanker predict` again")
    raise GeorankerError(f"{given}: holds no predictions.parquet; `georanker predict` writes one")


def run_radii(run: Path) -> list[float]:
    """Return the radii of a run's own figures, if it has any."""
    try:
        names = json.loads((run / "metrics.json").read_text())["ranked"]
        return [float(name[4:-2]) for name in names if name.startswith("acc@")]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []
