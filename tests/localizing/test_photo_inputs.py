"""What counts as a photo, and how an answer for one looks in a notebook."""

from __future__ import annotations

import base64
import io
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from georanker.localizer import Localizer
from georanker.localizing.photo_inputs import photos_of
from georanker.types import Place
from tests.localizer_world import finished_run, tile
from tests.localizing.test_localizer import same


@pytest.fixture(scope="module")
def localizer(small_run: Path) -> Localizer:
    return Localizer.from_run(finished_run(small_run))


def test_a_folder_is_searched_for_photos_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "pipe.png")  # to read it would block for ever
    for name in ("film.mpg", "table.h5", "drawing.eps", "letter.ps", "map.grib"):
        (tmp_path / name).touch()
    assert [photo.id for photo in photos_of(tmp_path)] == [str(tmp_path / "a.png")]
    assert [photo.id for photo in photos_of(f"{tmp_path}/*.png")] == [str(tmp_path / "a.png")]
    assert not caplog.messages
    for name in ("b.HEIC", "c.dng"):
        (tmp_path / name).touch()
    photos_of(tmp_path)
    assert caplog.messages == [
        f"folder {tmp_path}: 2 photos are left out, whose format is not read here, {tmp_path / 'b.HEIC'} for one; save "
        "them as JPEG"
    ]


def test_arrays_of_one_and_of_four_channels(localizer: Localizer, small_run: Path) -> None:
    grey = np.array(tile(small_run).convert("L"))
    expected = localizer.localize(np.stack([grey] * 3, axis=2))
    alpha = np.full((*grey.shape, 1), 255, np.uint8)
    for array in (grey, grey[..., None], np.concatenate([grey[..., None]] * 3 + [alpha], axis=2)):
        same(localizer.localize(array), expected)
    same(localizer.localize(Image.fromarray(grey).convert("LA").convert("La")), expected)


def test_an_answer_is_short_in_a_list(localizer: Localizer, small_run: Path) -> None:
    answer = localizer.localize(tile(small_run))
    assert repr(answer) == f"Localized('#1': {answer.place}, {answer.trust})"


def test_the_cards_map_has_room_and_a_legend(localizer: Localizer, small_run: Path) -> None:
    answer = localizer.localize(tile(small_run))
    edge = replace(answer.candidates[0], place=Place(90.0, -180.0))
    card = replace(answer, candidates=(edge, *answer.candidates[1:]))._repr_html_()
    packed = re.findall(r"src='data:image/jpeg;base64,([^']+)'", card)[-1]
    with Image.open(io.BytesIO(base64.b64decode(packed))) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert np.abs(pixels[10, 10] - (61, 220, 151)).max() < 40, "a dot at the corner is not cut"
    assert np.median(pixels) > 20, "the Earth is seen"
    assert "other candidates" in card
    assert "what the photo says" not in card
    assert "Blue Marble" in card
