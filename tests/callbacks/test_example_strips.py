"""A strip shows a photo and its candidates, best score first, and only those photos are read."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from georanker.callbacks import ExampleStrips
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from georanker.geodesy import geodesic_km
from georanker.report.world_map import FAR, NEAR
from georanker.types import Candidate, CandidateList, GeorankerError, Photo, Place
from tests.callbacks.pictures import some_lists, validated, watched


class Painted:
    """Photos of one colour each, which remember that they were asked for; some cannot be read."""

    def __init__(self, broken: str = "none") -> None:
        self.asked: list[str] = []
        self.broken = broken

    def read(self, photo_id: str) -> bytes:
        self.asked.append(photo_id)
        if photo_id.startswith(self.broken):
            raise GeorankerError(f"photo {photo_id}: not there")
        packed = io.BytesIO()
        Image.new("RGB", (60, 30), (len(photo_id) * 10, 90, 30)).save(packed, "PNG")
        return packed.getvalue()


@dataclass(frozen=True)
class Cell:
    """A square of a strip, and what stands in it and below it."""

    words: list[str]
    colour: str
    images: int


def strips(figure: Figure) -> list[list[Cell]]:
    """Return the squares of each strip, from left to right, the strips from the top."""
    (axes,) = figure.axes
    rows: dict[float, list[Cell]] = {}
    for square in axes.patches:
        assert isinstance(square, Rectangle)
        left, bottom, side = square.get_x(), square.get_y(), square.get_width()
        inside = [
            text.get_text()
            for text in axes.texts
            if left <= text.get_position()[0] <= left + side and bottom - 0.5 < text.get_position()[1] < bottom + side
        ]
        images = [image.get_extent() for image in axes.images]
        count = sum(left < x0 < x1 < left + side and bottom < y0 < y1 < bottom + side for x0, x1, y0, y1 in images)
        rows.setdefault(bottom, []).append(Cell(inside, to_hex(square.get_edgecolor()), count))
    return [rows[bottom] for bottom in sorted(rows, reverse=True)]


def test_candidates_stand_in_ranked_order(tmp_path: Path) -> None:
    picture, source = ExampleStrips(photos=3, candidates=4, radius_km=3000.0), Painted()
    kept = watched(picture)
    found = {each.photo.id: each for each in some_lists(30, 9, source)}
    validated(tmp_path, picture, list(found.values()))
    ((lists, figure),) = kept
    for ranked, (photo, *cells) in zip(lists, strips(figure), strict=True):
        truth, candidates = found[ranked.photo_id].photo.place, found[ranked.photo_id].candidates
        assert truth is not None
        assert photo.words[0] == ranked.photo_id
        best = sorted(candidates, key=lambda candidate: -candidate.place.latitude)
        distances = [km(truth, candidate.place) for candidate in best]
        nearest = int(np.argmin(distances))
        expected = list(range(min(4, len(best))))
        if nearest not in expected:
            expected[-1] = nearest
        for at, cell in zip(expected, cells, strict=True):
            told = cell.words
            assert told[0] == (f"{distances[at]:,.0f} km" if distances[at] >= 10 else f"{distances[at]:.1f} km")
            assert told[2].startswith(f"score {best[at].place.latitude:.2f}, retrieved {1 - int(best[at].score)}")
            assert told[3] == str(at + 1)
            assert ("nearest" in told) == (at == nearest)
            assert cell.colour == (NEAR if distances[at] < 3000 else FAR)
            assert cell.images == photo.images == 1


def km(a: Place, b: Place) -> float:
    points = torch.tensor([[p.latitude, p.longitude] for p in (a, b)], dtype=torch.float64)
    return geodesic_km(points[0], points[1]).item()


def test_only_what_is_shown_is_read(tmp_path: Path) -> None:
    source = Painted()
    validated(tmp_path, ExampleStrips(photos=2, candidates=3), some_lists(50, 9, source))
    assert len(source.asked) <= 2 * (1 + 3)
    assert source.asked


@pytest.mark.parametrize("broken", ["photo", "gallery"])
def test_a_photo_that_cannot_be_read_is_shown_in_words(broken: str, tmp_path: Path) -> None:
    picture = ExampleStrips(photos=2, candidates=3)
    kept = watched(picture)
    validated(tmp_path, picture, some_lists(50, 9, Painted(broken)))
    ((_, figure),) = kept
    for photo, *cells in strips(figure):
        assert (photo.images == 0) == (broken == "photo")
        assert all((cell.images == 0) == (broken == "gallery") for cell in cells)


def test_places_without_photos_are_shown_by_their_names(tmp_path: Path) -> None:
    places = [
        Place(48.85, 2.35, "Paris", "Île-de-France", "France"),
        Place(35.68, 139.69, "東京 $tokyo_$", "", "日本"),
        Place(-33.9, -18.4),
    ]
    asked = CandidateList(Photo("a_photo_$1$", places[0]), tuple(Candidate(place) for place in places))
    picture = ExampleStrips()
    kept = watched(picture)
    validated(tmp_path, picture, [asked])
    ((_, figure),) = kept
    (_, first, second, third), *_ = strips(figure)
    assert first.words[0] == "Paris\nÎle-de-France\nFrance"
    assert second.words[0] == "東京 $tokyo_$\n日本"
    assert third.words[0] == "33.90° S, 18.40°\nW"


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="candidates must be at least 1, not 0"):
        ExampleStrips(candidates=0)
