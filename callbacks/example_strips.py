"""Examples that people look at: a photo, and its candidates in ranked order."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import lightning as L
import numpy as np

from georanker.candidate_table import CandidateTable
from georanker.report.world_map import FAR, NEAR, NIGHT
from georanker.types import CandidateList, GeorankerError, Photo, Place

from .base import Picture, when
from .ranked_list import RankedList

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_QUIET, _PANEL = "#9fb0c3", "#17263a"
_CELL, _GAP, _CAPTION, _HEAD, _EDGE = 1.6, 0.16, 0.66, 0.6, 0.26  # inches, as all that follows
_PIXELS = 150  # of a photo's longer side, as many as it is drawn with
_LETTERS, _BOLD_LETTERS = 25, 16  # that fit below a photo


class ExampleStrips(Picture):
    """Draws some photos, each with its best-scored candidates in ranked order, their distances and scores.

    The last place of a strip belongs to the candidate that is nearest of all, if it is not among the first. A
    candidate without a photo, or whose photo cannot be read, is shown by its names, or else by its coordinates.

    Args:
        photos: how many strips.
        candidates: how many in a strip.
        radius_km: candidates nearer than this count as right.
    """

    def __init__(self, photos: int = 4, candidates: int = 7, radius_km: float = 200.0) -> None:
        super().__init__(photos)
        if candidates < 1:
            raise ValueError(f"candidates must be at least 1, not {candidates}")
        self.candidates = candidates
        self.radius_km = radius_km

    def draw(self, lists: Sequence[RankedList], trainer: L.Trainer, stage: str) -> Figure | None:
        """Return the strips, one below the other."""
        from matplotlib.figure import Figure

        loader = trainer.test_dataloaders if stage == "test" else trainer.val_dataloaders
        known = _known(getattr(loader, "dataset", None), {each.photo_id for each in lists})
        columns = 1 + max(3, min(self.candidates, max(len(each.scores) for each in lists)))
        width = 2 * _EDGE + columns * (_CELL + _GAP)
        height = _HEAD + len(lists) * (_CELL + _CAPTION)
        figure = Figure(figsize=(width, height), dpi=110, facecolor=NIGHT)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        for column, words, colour in (
            (1, "candidates, best score first", _QUIET),
            (columns - 2, f"within {self.radius_km:g} km", NEAR),
            (columns - 1, "farther", FAR),
        ):
            axes.text(_left(column), height - 0.3, words, color=colour, fontsize=10, va="center")
        axes.text(_left(0), height - 0.3, when(trainer, stage), color="white", fontsize=11, weight="bold", va="center")
        for row, ranked in enumerate(lists):
            bottom = height - _HEAD - row * (_CELL + _CAPTION) - _CELL
            self._strip(axes, bottom, ranked, known.get(ranked.photo_id))
        axes.set(xlim=(0, width), ylim=(0, height), aspect="auto")
        axes.set_axis_off()
        return figure

    def _strip(self, axes: Axes, bottom: float, ranked: RankedList, found: CandidateList | None) -> None:
        truth = Place(*ranked.truth.tolist()) if np.isfinite(ranked.truth).all() else None
        _show(axes, _left(0), bottom, found.photo if found else None, ranked.photo_id, "white")
        where = _named(truth) if truth else "its place is not known"
        _write(axes, _left(0), bottom, "white", _end(ranked.photo_id), where)
        distances_km = np.where(np.isfinite(ranked.distances_km), ranked.distances_km, np.inf)
        nearest = int(distances_km.argmin())
        shown = list(range(min(self.candidates, len(ranked.scores))))
        if nearest not in shown and np.isfinite(distances_km[nearest]):
            shown[-1] = nearest
        for column, at in enumerate(shown, start=1):
            candidate = found.candidates[ranked.columns[at]] if found else None
            place = candidate.place if candidate else Place(*ranked.places[at].tolist())
            unknown = np.isinf(distances_km[at])
            colour = _QUIET if unknown else NEAR if distances_km[at] < self.radius_km else FAR
            words = "\n".join(place.names) or _named(place)
            _show(axes, _left(column), bottom, candidate.photo if candidate else None, words, colour)
            score = f"score {ranked.scores[at]:.2f}" if np.isfinite(ranked.scores[at]) else "no score"
            retrieved = f"{score}, retrieved {_ordinal(int(ranked.columns[at]) + 1)}"
            distance = "? km" if unknown else _km(distances_km[at])
            _write(axes, _left(column), bottom, colour, distance, _named(place), retrieved)
            _badge(axes, _left(column) + 0.06, bottom, f"{at + 1}", "left")
            if at == nearest and not unknown:
                _badge(axes, _left(column) + _CELL - 0.06, bottom, "nearest", "right")


def _left(column: int) -> float:
    """Return where a column begins; the photo stands a little apart from its candidates."""
    return _EDGE + column * (_CELL + _GAP) + (_GAP if column else 0)


def _known(items: object, photo_ids: set[str]) -> dict[str, CandidateList]:
    """Return the lists of some photos, by id, if the loader's items are lists."""
    if isinstance(items, CandidateTable):
        return {each: items[row] for row, each in enumerate(items.photo_ids) if each in photo_ids}
    lists = (each for each in items if isinstance(each, CandidateList)) if isinstance(items, Sequence) else ()
    return {each.photo.id: each for each in lists if each.photo.id in photo_ids}


def _show(axes: Axes, left: float, bottom: float, photo: Photo | None, words: str, colour: str) -> None:
    """Show a photo whole in a square, or words in its stead."""
    from matplotlib.patches import Rectangle

    x, y = left + _CELL / 2, bottom + _CELL / 2
    axes.add_patch(Rectangle((left, bottom), _CELL, _CELL, facecolor=_PANEL, edgecolor=colour, lw=1.6))
    pixels = None if photo is None or photo.source is None else _pixels(photo)
    if pixels is None:
        wrapped = "\n".join(line for part in words.split("\n") for line in textwrap.wrap(part, 16)[:3])
        axes.text(x, y, wrapped, color=_QUIET, fontsize=9, ha="center", va="center", parse_math=False)
        return
    tall, wide = ((_CELL - 0.03) / 2 * side / max(pixels.shape[:2]) for side in pixels.shape[:2])
    axes.imshow(pixels, extent=(x - wide, x + wide, y - tall, y + tall), zorder=2)


def _pixels(photo: Photo) -> np.ndarray | None:
    try:
        image = photo.load()
    except GeorankerError:
        return None
    scale = _PIXELS / max(image.size)
    return np.asarray(image.resize((max(1, round(scale * image.width)), max(1, round(scale * image.height)))))


def _write(axes: Axes, left: float, bottom: float, colour: str, bold: str, *quiet: str) -> None:
    """Write below a square: a line in bold, and quiet lines."""
    first = axes.text(left, bottom - 0.1, bold, color=colour, fontsize=10, weight="bold", va="top")
    first.set_parse_math(False)
    for line, text in enumerate(quiet):
        axes.text(left, bottom - 0.28 - 0.145 * line, text, color=_QUIET, fontsize=8, va="top", parse_math=False)


def _badge(axes: Axes, x: float, bottom: float, words: str, side: Literal["left", "right"]) -> None:
    """Write into an upper corner of a square."""
    box = {"boxstyle": "square,pad=0.3", "facecolor": NIGHT, "edgecolor": "none", "alpha": 0.8}
    axes.text(x, bottom + _CELL - 0.06, words, color="white", fontsize=8, ha=side, va="top", bbox=box, zorder=3)


def _named(place: Place) -> str:
    if place.names:
        whole = ", ".join(place.names)
        return whole if len(whole) <= _LETTERS else _short(", ".join((place.names[0], *place.names[1:][-1:])))
    north, east = "S" if place.latitude < 0 else "N", "W" if place.longitude < 0 else "E"
    return f"{abs(place.latitude):.2f}° {north}, {abs(place.longitude):.2f}° {east}"


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"


def _end(photo_id: str) -> str:
    """Return what tells photos of one folder from each other."""
    return photo_id if len(photo_id) <= _BOLD_LETTERS else f"…{photo_id[1 - _BOLD_LETTERS :]}"


def _km(distance_km: float) -> str:
    return f"{distance_km:.1f} km" if distance_km < 10 else f"{distance_km:,.0f} km"


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
