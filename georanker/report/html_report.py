"""A page that shows what a run answered: figures, curve, map, cases and photos in one file that needs no network."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

import georanker
from georanker.files import write_text
from georanker.gazetteer import ATTRIBUTION
from georanker.metrics.inputs import RADII_KM, checked_radii
from georanker.report.background import background_picture
from georanker.report.page_data import LISTED, page_data
from georanker.report.predictions import Predictions
from georanker.report.thumbnails import Thumbnails
from georanker.types import PhotoSource


@dataclass(frozen=True)
class WrittenReport:
    """What is worth telling of a page that was written."""

    figures: Mapping[str, Mapping[str, float]]
    """Figures by name, by whose answers they judge; empty if no truth is known."""
    faults: Mapping[str, str]
    """Why photos could not be read, by their id; the page shows a blank for them."""


_SCRIPTS = ("data.js", "cards.js", "map.js", "curve.js", "main.js")


def write_report(
    predictions: Path | Predictions,
    out: Path,
    *,
    title: str = "Where the photos were taken",
    radii_km: Sequence[float] = RADII_KM,
    photo_source: PhotoSource | None = None,
    gallery_source: PhotoSource | None = None,
    background: Path | None = None,
    credit: str = "",
    shown: int = 10_000,
    photo_megabytes: float = 4.0,
) -> WrittenReport:
    """Write a page with the table, the error curve, a map to pan and zoom, the worst, the best, and examples.

    The page is one file: script, pictures and numbers lie in it, and its own policy forbids it to ask anyone for more.

    Args:
        predictions: the file that PredictionWriter wrote, or answers at hand.
        out: the HTML file to write.
        title: above the page.
        radii_km: of the table and of the map's bands, rising.
        photo_source: holds the photos that were asked about; without it the page shows those that bring their bytes.
        gallery_source: holds the candidates' photos.
        background: an equirectangular picture of the Earth; without it the map is drawn of the world's settlements.
        credit: whom to thank for the pictures, at the foot of the page.
        shown: photos on the map, evenly spread over the file; figures and curve are always those of all.
        photo_megabytes: what the small photos may take of the page.

    Raises:
        GeorankerError: the predictions cannot be read or the page cannot be written.
        ValueError: the radii do not rise.
    """
    from plotly.offline import get_plotlyjs

    checked_radii(radii_km)
    answers = Predictions.read(predictions) if isinstance(predictions, Path) else predictions
    thumbnails = Thumbnails(int(photo_megabytes * 1e6))
    data = page_data(answers, thumbnails, photo_source, gallery_source, shown)
    data |= {"radii": list(radii_km), "background": _background(background)}
    figures = answers.figures(radii_km) if answers.known.any() else {}
    page = files(__package__).joinpath("page")
    script = "\n".join(page.joinpath(name).read_text("utf-8") for name in _SCRIPTS)
    parts = {
        "title": html.escape(title),
        "subtitle": html.escape(_subtitle(answers, predictions.name if isinstance(predictions, Path) else "")),
        "figures": _figures(figures) if figures else "",
        "examples": _examples(answers),
        "footer": _footer(thumbnails.faults, credit),
        "policy": _policy(get_plotlyjs(), script),
        "style": page.joinpath("style.css").read_text("utf-8"),
        "data": json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        "plotly": get_plotlyjs(),
        "script": script,
    }
    write_text(out, Template(page.joinpath("page.html").read_text("utf-8")).substitute(parts))
    return WrittenReport(figures, thumbnails.faults)


def _examples(answers: Predictions) -> str:
    known = bool(answers.known.any())
    if answers.photos:
        order = "In their order." if len(answers) <= LISTED else f"The first {LISTED}."
    else:
        order = "Evenly spread from the best answer to the worst." if known else "Evenly spread over the file."
    if not known:
        return f"{order} Below each candidate stand its rank and the ranker's score."
    return (
        f"{order} Below each candidate stand its rank, its distance from the truth and the ranker's score; the nearest "
        "to the truth is marked in blue."
    )


def _subtitle(answers: Predictions, file: str) -> str:
    known = int(answers.known.sum())
    photos = f"{len(answers):,} photo{'s' if len(answers) > 1 else ''}"
    if known < len(answers):
        photos += f", {known:,} of known place" if known else " of unknown place"
    lengths = np.diff(answers.starts)
    lists = f"{lengths.min()}" if lengths.min() == lengths.max() else f"{lengths.min()} to {lengths.max()}"
    return f"{photos}; {lists} candidate{'s' if lengths.max() > 1 else ''} each{', from ' if file else ''}{file}"


def _figures(figures: Mapping[str, Mapping[str, float]]) -> str:
    """Return the table, and room for the curve beside it."""
    header = "".join(f"<th>{name}</th>" for name in (*figures, "gain"))
    rows = ""
    for name in figures["ranked"]:
        share = name.startswith("acc@")
        values = [figures[answer][name] * (100 if share else 1) for answer in figures]
        gain = figures["ranked"][name] * (100 if share else 1) - values[0]
        told = [f"{value:,.1f}" if share else f"{value:,.0f}" for value in values]
        gained = (f"{gain:+,.1f}" if share else f"{gain:+,.0f}").replace("-", "−")
        verdict = "" if not gain else "better" if (gain > 0) == share else "worse"
        words = f"within {float(name[4:-2]):,g} km, %" if share else f"{name.removesuffix('_km')} error, km"
        cells = "".join(f'<td class="{answer}">{cell}</td>' for answer, cell in zip(figures, told, strict=True))
        rows += f'<tr><th>{words}</th>{cells}<td class="{verdict}">{gained}</td></tr>'
    table = f"<table><thead><tr><th></th>{header}</tr></thead><tbody>{rows}</tbody></table>"
    return (
        f'<section class="pair"><div><h2>How near the answers are</h2>{table}</div>'
        '<div><h2>Share of photos by their error</h2><div id="curve"></div></div></section>'
    )


def _footer(faults: Mapping[str, str], credit: str) -> str:
    lines = [f"georanker {georanker.__version__}. {ATTRIBUTION}. Drawn with plotly.js (MIT). {credit}"]
    if faults:
        lines.append(told(faults))
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)


def told(faults: Mapping[str, str]) -> str:
    """Say in one line that photos could not be read, and why for the first."""
    return f"{len(faults):,} photo{'s' if len(faults) > 1 else ''} could not be read: {next(iter(faults.values()))}"


def _policy(*scripts: str) -> str:
    """Return the page's own rule: these scripts and what lies in the page, and nothing else, may run or be loaded."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(["'unsafe-eval'", *(f"'sha256-{each}'" for each in hashes)])  # plotly's WebGL makes functions
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}; base-uri 'none'"


def _background(picture: Path | None) -> str:
    packed = io.BytesIO()
    background_picture(picture).save(packed, "JPEG", quality=72, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(packed.getvalue()).decode()}"
