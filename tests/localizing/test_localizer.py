"""One photo in, a place out: whatever the photo comes as, and whatever it says of its place."""

from __future__ import annotations

import copy
import io
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import georanker
from georanker.candidates import CandidatesFile
from georanker.data.blue_marble import BlueMarble
from georanker.geodesy import geodesic_km
from georanker.localizer import Localizer
from georanker.localizing.localized import Localized
from georanker.localizing.localized_photos import LocalizedPhotos
from georanker.localizing.photo_inputs import is_one, photos_of
from georanker.looks import UsualLooks, looks
from georanker.ranker import Ranker
from georanker.retrievers.gallery import Gallery
from georanker.types import GeorankerError, Photo, Place
from georanker.verbs.index import load_retriever
from tests.localizer_world import PORTRAIT, Spy, encoded, finished_run, noise, tile
from tests.photos_with_gps import gps_block


@pytest.fixture(scope="module")
def run(small_run: Path) -> Path:
    return finished_run(small_run)


@pytest.fixture(scope="module")
def localizer(run: Path) -> Localizer:
    return Localizer.from_run(run)


def places(answers: Sequence[Localized]) -> list[list[Place]]:
    return [[candidate.place for candidate in answer.candidates] for answer in answers]


def same(one: Localized, other: Localized, within: float = 0.0) -> None:
    """Two answers agree: places exactly, scores as nearly as is said."""
    assert places([one]) == places([other])
    scores = [[candidate.score for candidate in answer.candidates] for answer in (one, other)]
    assert scores[0] == pytest.approx(scores[1], abs=within, rel=0)


def test_three_lines(run: Path, small_run: Path, tmp_path: Path) -> None:
    tile(small_run).save(tmp_path / "photo.jpg")
    answer = georanker.Localizer.from_run(run).localize(str(tmp_path / "photo.jpg"))
    assert str(answer).startswith(f"{tmp_path / 'photo.jpg'}\n")


def test_the_answer_is_the_rankers_of_what_the_retriever_finds(
    localizer: Localizer, run: Path, small_run: Path
) -> None:
    image = tile(small_run)
    found = localizer.localize(image, top_k=8)
    retriever, gallery = load_retriever(run / "retriever.ckpt"), Gallery.load(run / "gallery")
    ranker = Ranker.load_from_checkpoint(run / "ranker.ckpt", map_location="cpu", weights_only=True)

    class Source:
        def read(self, photo_id: str) -> bytes:
            return encoded(image)

    (expected,) = ranker.rank(retriever.retrieve([Photo("x", source=Source())], gallery, top_k=8))
    assert [(c.place.latitude, c.place.longitude, c.score) for c in found.candidates] == [
        (c.place.latitude, c.place.longitude, c.score) for c in expected.candidates
    ]
    assert found.retrieved.gallery_row == expected.retrieved.gallery_row
    assert found.place == found.candidates[0].place
    assert found.score == max(candidate.score for candidate in found.candidates)


def test_the_ranker_reads_the_lists_that_it_was_trained_with(localizer: Localizer, run: Path, small_run: Path) -> None:
    """The same places, names and negatives: a prompt may hold all of them."""
    (trained_with, *_) = CandidatesFile(run / "candidates/test.parquet")
    spy = Spy()
    watched = Localizer(localizer.retriever, localizer.gallery, Ranker(spy), localizer.candidates, localizer.negatives)
    watched.localize(tile(small_run))
    (read,) = spy.lists
    assert len(trained_with.negatives) == localizer.negatives == 5
    assert [str(each.place) for each in read.candidates] == [str(each.place) for each in trained_with.candidates]
    assert [str(each.place) for each in read.negatives] == [str(each.place) for each in trained_with.negatives]
    assert any(each.place.country for each in read.negatives)


def test_all_that_a_photo_can_be_gives_one_answer(localizer: Localizer, small_run: Path, tmp_path: Path) -> None:
    image = tile(small_run, 3)
    image.save(tmp_path / "photo.png")
    expected = localizer.localize(tmp_path / "photo.png")
    assert isinstance(expected, Localized)

    class Source:
        def read(self, photo_id: str) -> bytes:
            return encoded(image)

    for photo in (
        str(tmp_path / "photo.png"),
        encoded(image),
        image,
        np.asarray(image),
        Photo("mine", source=Source()),
        Image.open(tmp_path / "photo.png"),
    ):
        found = localizer.localize(photo)
        assert isinstance(found, Localized)
        same(found, expected)


def test_a_list_gives_a_list_in_its_order(localizer: Localizer, small_run: Path) -> None:
    images = [tile(small_run, number) for number in range(20)]  # more than a batch
    together = localizer.localize(images)
    assert isinstance(together, LocalizedPhotos)
    assert len(together) == 20
    for image, answer in zip(images, together, strict=True):
        same(localizer.localize(image), answer, within=2e-3)  # larger batches add up in another order
    assert len({answer.place for answer in together}) > 5
    assert [answer.photo.id for answer in together[2:4]] == ["#3", "#4"]
    assert isinstance(localizer.localize([images[0]]), LocalizedPhotos)


def test_folders_and_globs(localizer: Localizer, small_run: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("b.png", "a.jpg", "in/deep/c.PNG", ".hidden.png"):
        tile(small_run).save(tmp_path / name, "PNG" if name.lower().endswith("png") else "JPEG")
    (tmp_path / "notes.txt").write_text("no photo")
    ids = [str(tmp_path / name) for name in ("a.jpg", "b.png", "in/deep/c.PNG")]
    everything = localizer.localize(tmp_path)
    assert isinstance(everything, LocalizedPhotos)
    assert [answer.photo.id for answer in everything] == ids
    twice = localizer.localize([str(tmp_path), tmp_path / "in" / "..", f"{tmp_path}/*.png"])
    assert [answer.photo.id for answer in twice] == ids
    matched = localizer.localize(f"{tmp_path}/**/*.[pP][nN][gG]")
    assert isinstance(matched, LocalizedPhotos)
    assert [answer.photo.id for answer in matched] == ids[1:]
    assert len(localizer.localize([ids[0], ids[0]])) == 2, "a list of files keeps its length"


def test_a_glob_brings_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/b.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)
    assert len(photos_of(str(tmp_path / "**"))) == 2
    assert is_one("n" * 5000)


def test_how_a_photo_was_compressed_does_not_matter(localizer: Localizer, tmp_path: Path) -> None:
    for mode, compression in (("1", "group4"), ("RGB", "jpeg")):
        Image.fromarray(noise(3)).convert(mode).save(tmp_path / "a.tif", compression=compression)
        opened = Image.open(tmp_path / "a.tif").convert("RGB")
        (photo,) = photos_of(opened)
        assert (np.asarray(photo.load()) == np.asarray(opened)).all()


@pytest.mark.parametrize("settings", [{"format": "JPEG", "quality": 95}, {"format": "WEBP", "quality": 95}])
def test_a_format_does_not_make_a_photo_odd(settings: dict[str, Any], small_run: Path) -> None:
    data = BlueMarble(gallery_size=400, test_size=50, cache=small_run / "cache")
    known = torch.stack([pil_to_tensor(photo.load()) for photo in data.photos("gallery")])
    usual = UsualLooks(looks(known).numpy())
    saved = []
    for photo in data.photos("test"):
        file = io.BytesIO()
        photo.load().save(file, **settings)
        saved.append(pil_to_tensor(Image.open(file).convert("RGB")))
    assert (usual.share_odder(looks(torch.stack(saved)).numpy()) < 0.01).mean() < 0.25


def pil_to_tensor(image: Image.Image) -> torch.Tensor:
    """Return (3, H, W) uint8."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def test_a_name_with_brackets_is_a_file_if_it_is_there(localizer: Localizer, small_run: Path, tmp_path: Path) -> None:
    tile(small_run).save(tmp_path / "photo [1].png")
    answer = localizer.localize(tmp_path / "photo [1].png")
    assert isinstance(answer, Localized)
    assert "photo [1].png" in str(answer)
    assert "photo [1].png" in str(localizer.localize([tmp_path / "photo [1].png"]))


def located(block: dict[int, object]) -> Image.Exif:
    exif = Image.Exif()
    exif[0x8825] = block
    return exif


def test_what_exif_says_is_shown_and_never_used(localizer: Localizer, small_run: Path) -> None:
    spy = Spy()
    watched = Localizer(localizer.retriever, localizer.gallery, Ranker(spy), candidates=8)
    image = tile(small_run)
    plain = encoded(image)
    for where in (Place(48.8584, 2.2945), Place(-17.5, 179.9)):
        told = encoded(image, exif=located(gps_block(where.latitude, where.longitude)))
        answer, bare = localizer.localize(told), localizer.localize(plain)
        assert answer.photo.place is not None
        assert (answer.photo.place.latitude, answer.photo.place.longitude) == pytest.approx(
            (where.latitude, where.longitude), abs=1e-5
        )
        points = torch.tensor(
            [[p.latitude, p.longitude] for p in (answer.place, answer.photo.place)], dtype=torch.float64
        )
        assert answer.error_km == pytest.approx(geodesic_km(points[0], points[1]).item())
        assert f"{answer.error_km:,.0f} km from the answer" in str(answer)
        assert bare.photo.place is None
        assert bare.error_km is None
        without = {"truth": None, "error_km": None}
        assert {**answer.to_dict(), **without} == bare.to_dict()
        watched.localize([told, plain])
        watched.localize(Photo("placed", where, source=answer.photo.source))
    assert spy.truths
    assert all(truth.isnan().all() for truth in spy.truths)


def test_nonsense_in_exif_costs_a_line_and_no_answer(
    localizer: Localizer, small_run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exif = located({1: "N", 2: (95.0, 0.0, 0.0), 3: "E", 4: (1.0, 0.0, 0.0)})
    assert localizer.localize(encoded(tile(small_run), exif=exif)).photo.place is None
    assert "photo #1: EXIF GPS: latitude 95" in caplog.text


def test_distances_names_and_plain_values(localizer: Localizer, small_run: Path) -> None:
    answer = localizer.localize(tile(small_run), top_k=8)
    assert answer.distances_km[0] == 0
    assert all(km >= 0 for km in answer.distances_km)
    assert any(candidate.place.country for candidate in answer.candidates)
    told = answer.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["latitude"] == answer.place.latitude
    listed = told["candidates"]
    assert isinstance(listed, list)
    assert [each["from_answer_km"] for each in listed] == answer.distances_km
    assert {each["source"] for each in listed} == {"retrieved"}
    assert [each["rank"] for each in listed] == list(range(1, 9))
    assert "\x1b" not in str(answer)
    assert len(str(answer).splitlines()) >= 8 + 3


def test_top_k_shows_fewer_and_changes_no_answer(localizer: Localizer, small_run: Path) -> None:
    image = tile(small_run)
    few, all_, more = (localizer.localize(image, top_k=k) for k in (2, 8, 100))
    assert (len(few.candidates), len(all_.candidates), len(more.candidates)) == (2, 8, 8)
    assert few.candidates == all_.candidates[:2]
    assert few.trust == all_.trust == more.trust
    with pytest.raises(GeorankerError, match="top_k must be at least 1, not 0"):
        localizer.localize(image, top_k=0)


def test_hundreds_of_photos_and_those_that_fail(
    localizer: Localizer, small_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos: list[bytes | np.ndarray] = [noise(seed) for seed in range(300)]
    photos[17], photos[170] = b"broken", encoded(tile(small_run))[:60]
    failed: list[tuple[str, str]] = []
    answers = localizer.localize(photos, failed=lambda photo, error: failed.append((photo.id, str(error))))
    assert len(answers) == 298
    assert [name for name, _ in failed] == ["#18", "#171"]
    assert failed[0][1].startswith("photo #18: not an image; JPEG, ")
    assert [answer.photo.id for answer in answers][15:18] == ["#16", "#17", "#19"]
    assert not capsys.readouterr().out, "a progress bar is none of the output"
    with pytest.raises(GeorankerError, match="photo #18: not an image"):
        localizer.localize(photos)


def test_cards_hold_all_they_show(localizer: Localizer, small_run: Path) -> None:
    answer = localizer.localize(tile(small_run))
    named = replace(answer, photo=replace(answer.photo, id="<script>alert(1)</script>'\""))
    card = named._repr_html_()
    assert "<script" not in card
    assert len(re.findall(r"src='data:image/(?:jpeg|png);base64,", card)) == 2
    assert not re.findall(r"(?:src|href)=(?!'data:)", card)
    several = LocalizedPhotos([answer, named])._repr_html_()
    assert several.count("<table") == 2
    gone = replace(answer, photo=Photo("gone"))
    assert gone._repr_html_().count("src=") == 1


def test_show(
    localizer: Localizer, small_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = localizer.localize([tile(small_run)])
    monkeypatch.setitem(sys.modules, "IPython", None)
    answers.show()
    answers[0].show()
    assert capsys.readouterr().out == f"{answers}\n{answers[0]}\n"
    shown: list[object] = []
    notebook = ModuleType("IPython.display")
    notebook.display = shown.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    answers.show()
    answers[0].show()
    assert shown == [answers, answers[0]]


def test_a_portrait_is_a_guess(localizer: Localizer, small_run: Path) -> None:
    """The small gallery has too few photos to call one odd, so that it is lent the looks of more."""
    tiles = BlueMarble(gallery_size=600, cache=small_run / "cache").tiles.pixels("gallery", 600)
    gallery = copy.copy(localizer.gallery)
    gallery.looks = looks(torch.from_numpy(np.array(tiles)).permute(0, 3, 1, 2)).numpy()
    taught = Localizer(localizer.retriever, gallery, localizer.ranker, 8, calibration=localizer.calibration)
    portrait = taught.localize(PORTRAIT)
    assert isinstance(portrait, Localized)
    assert portrait.trust.unlike
    assert str(portrait.trust).startswith("a guess: odder than ")
    assert "This photo is unlike those that the model was trained on: it looks odder than 9" in str(portrait)
    assert "a guess" in str(taught.localize([PORTRAIT]))
    assert portrait.candidates == localizer.localize([PORTRAIT])[0].candidates
    answers = taught.localize([tile(small_run, number) for number in range(24)])
    assert sum(answer.trust.unlike for answer in answers) <= 2
    assert all(answer.trust.right is not None for answer in answers)
    assert not any(answer.trust.unlike for answer in localizer.localize([PORTRAIT]))


def test_the_parts_must_belong_together(localizer: Localizer, run: Path, tmp_path: Path) -> None:
    other = load_retriever(run / "retriever.ckpt")
    with torch.no_grad():
        next(other.parameters()).add_(1)
    with pytest.raises(GeorankerError, match="made by retriever"):
        Localizer(other, localizer.gallery, localizer.ranker)
    loose = Gallery(localizer.retriever.fingerprint())
    with pytest.raises(GeorankerError, match=r"memory only; call gallery\.save\(folder\)"):
        Localizer(localizer.retriever, loose, localizer.ranker)
    with pytest.raises(GeorankerError, match="at least 1, not 0 and 16"):
        Localizer(localizer.retriever, localizer.gallery, localizer.ranker, candidates=0)
