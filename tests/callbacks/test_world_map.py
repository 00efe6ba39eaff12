"""The map shows the answers of the epoch where they are, and the share that the metrics found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from georanker.callbacks import WorldMap
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from PIL import Image

from georanker.report.world_map import draw_world_map
from tests.callbacks.pictures import some_lists, validated, watched


def points(figure: Figure, at: int) -> np.ndarray:
    """Return the (longitude, latitude) of one kind of dot: answers farther off, their truths, right ones."""
    dots = [each for each in figure.axes[0].collections if isinstance(each, PathCollection)]
    return np.asarray(dots[at].get_offsets())


def segments(figure: Figure) -> list[list[tuple[float, float]]]:
    (lines,) = (each for each in figure.axes[0].collections if isinstance(each, LineCollection))
    return [[(float(x), float(y)) for x, y in line] for line in lines.get_segments()]


def words(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    assert legend is not None
    return [legend.get_title().get_text(), *(text.get_text() for text in legend.get_texts())]


def test_each_photo_of_the_sample_is_on_it(tmp_path: Path) -> None:
    picture = WorldMap(photos=10, radius_km=3000.0)
    kept = watched(picture)
    validated(tmp_path, picture, some_lists(30))
    ((lists, figure),) = kept
    found = {each.photo.id: each for each in some_lists(30)}
    best = {
        name: max(each.candidates, key=lambda candidate: candidate.place.latitude).place for name, each in found.items()
    }
    ids = [each.photo_id for each in lists]
    assert len(ids) == 10
    right = points(figure, 2)
    assert len(points(figure, 0)) == len(points(figure, 1)) == 10 - len(right)
    assert 0 < len(right) < 10
    answers = {(best[name].longitude, best[name].latitude) for name in ids}
    assert {(float(x), float(y)) for x, y in points(figure, 0)} <= answers
    truths = {(each.photo.place.longitude, each.photo.place.latitude) for each in found.values() if each.photo.place}
    assert {(float(x), float(y)) for x, y in (*points(figure, 1), *right)} <= truths


def test_the_share_is_of_all_photos_and_not_of_the_sample(tmp_path: Path) -> None:
    picture = WorldMap(photos=1, radius_km=2500.0)
    kept = watched(picture)
    trainer = validated(tmp_path, picture, some_lists(40))
    ((_, figure),) = kept
    share = trainer.callback_metrics["val/ranked/acc@2500km"].item()
    assert 0 < share < 1
    assert f"answered within 2500 km ({share:.0%})" in words(figure)
    assert words(figure)[0] == "val"


def test_a_radius_without_a_metric_counts_what_is_drawn(tmp_path: Path) -> None:
    picture = WorldMap(radius_km=3333.0)
    kept = watched(picture)
    validated(tmp_path, picture, some_lists(30))
    ((_, figure),) = kept
    share = len(points(figure, 2)) / 30
    assert f"answered within 3333 km ({share:.0%})" in words(figure)


def test_a_line_takes_the_short_way_round_the_earth() -> None:
    figure = draw_world_map(np.array([[10.0, 170.0]]), np.array([[20.0, -170.0]]), np.array([2400.0]))
    assert segments(figure) == [[(170.0, 10.0), (190.0, 20.0)], [(-190.0, 10.0), (-170.0, 20.0)]]
    assert points(figure, 0).tolist() == [[-170.0, 20.0]], "the answer lies on the map"
    figure = draw_world_map(np.array([[10.0, 17.0]]), np.array([[20.0, -17.0]]), np.array([2400.0]))
    assert segments(figure) == [[(17.0, 10.0), (-17.0, 20.0)]]


def test_a_background_of_ones_own(tmp_path: Path) -> None:
    Image.new("RGB", (40, 20), (200, 100, 0)).save(tmp_path / "earth.png")
    validated(tmp_path, WorldMap(background=tmp_path / "earth.png"), some_lists())
    with Image.open(tmp_path / "pictures/val/world_map.png") as drawn:
        colours = drawn.convert("RGB").getcolors(1 << 20)
    assert colours is not None
    assert max(colours)[1] == (120, 65, 10)
    (tmp_path / "text.png").write_text("no picture")
    for name in ("text.png", "absent.png"):
        with pytest.raises(ValueError, match=rf"background .*{name} cannot be read as a picture"):
            WorldMap(background=tmp_path / name)
