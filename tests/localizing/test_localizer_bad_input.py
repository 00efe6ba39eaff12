"""Odd photos are handled, and what is no photo is told in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from georanker.localizer import Localizer
from georanker.localizing.localized import Localized
from georanker.types import GeorankerError
from tests.localizer_world import encoded, finished_run, noise, tile


@pytest.fixture(scope="module")
def run(small_run: Path) -> Path:
    return finished_run(small_run)


@pytest.fixture(scope="module")
def localizer(run: Path) -> Localizer:
    return Localizer.from_run(run)


def rotated(image: Image.Image) -> bytes:
    """Lie it on its side, and say so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image.transpose(Image.Transpose.ROTATE_90), exif=exif)


def sixteen_bits(image: Image.Image) -> bytes:
    return encoded(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257))


def animation(image: Image.Image) -> bytes:
    more = [Image.new("RGB", image.size, colour) for colour in ("red", "blue")]
    return encoded(image, "WEBP", save_all=True, append_images=more, lossless=True)


ODD: dict[str, tuple[Callable[[Image.Image], bytes], Callable[[Image.Image], Image.Image]]] = {
    "EXIF rotation": (rotated, lambda image: image),
    "CMYK": (lambda image: encoded(image.convert("CMYK"), "TIFF"), lambda image: image.convert("CMYK").convert("RGB")),
    "16 bits": (sixteen_bits, lambda image: image.convert("L").convert("RGB")),
    "palette": (lambda image: encoded(image.quantize(64)), lambda image: image.quantize(64).convert("RGB")),
    "animation": (animation, lambda image: image),
    "alpha": (lambda image: encoded(image.convert("RGBA")), lambda image: image),
    "one pixel": (lambda image: encoded(image.crop((0, 0, 1, 1))), lambda image: image.crop((0, 0, 1, 1))),
    "a line": (lambda image: encoded(image.crop((0, 0, 64, 1))), lambda image: image.crop((0, 0, 64, 1))),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_photo_is_what_it_shows(name: str, localizer: Localizer, small_run: Path, tmp_path: Path) -> None:
    make, shown = ODD[name]
    data = make(tile(small_run, 5))
    (tmp_path / "photo").write_bytes(data)
    expected = localizer.localize(shown(tile(small_run, 5)))
    with Image.open(tmp_path / "photo") as opened:
        for given in (data, tmp_path / "photo", opened):
            found = localizer.localize(given)
            assert isinstance(found, Localized)
            assert found.candidates == expected.candidates
            assert found.trust == expected.trust


BAD: dict[str, tuple[object, str]] = {
    "a URL": ("https://example.org/photo.jpg", "https://example.org/photo.jpg: a URL, and nothing is fetched here"),
    "no file": ("nowhere.jpg", "photo nowhere.jpg: cannot be read (No such file or directory)"),
    "a null byte": ("a\0b", "photo a\\x00b: cannot be read (embedded null byte)"),
    "no name": ("", "the name of a photo is empty"),
    "no match": ("none/*.jpg", "none/*.jpg: no file matches"),
    "an empty folder": ("empty", "folder empty: there are no photos in it"),
    "text": ("text.jpg", "photo text.jpg: not an image"),
    "cut short": ("cut.png", "photo cut.png: cannot be decoded ("),
    "no bytes": (b"", "photo #1: not an image"),
    "floats": (noise(0) / 255, "photo #1: an array must be uint8 and (H, W, 3) RGB, "),
    "two channels": (noise(0)[..., :2], "photo #1: an array must be uint8 and (H, W, 3) RGB, "),
    "no pixels": (noise(0)[:0], "photo #1: an array must be uint8 and (H, W, 3) RGB, "),
    "a number": (7, "photo #1: a int is no photo; give a path, bytes, a PIL image or an array"),
    "nothing": (None, "photo #1: a NoneType is no photo"),
    "the second": (["text.jpg", None], "photo #2: a NoneType is no photo"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_photo_is_told_in_a_line(
    name: str, localizer: Localizer, small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "cut.png").write_bytes(encoded(tile(small_run))[:2000])
    given, said = BAD[name]
    with pytest.raises(GeorankerError) as told:
        localizer.localize(given)  # type: ignore[call-overload]
    assert str(told.value).startswith(said)
    assert "\n" not in str(told.value)


def test_an_empty_list_has_no_answers(localizer: Localizer) -> None:
    assert list(localizer.localize([])) == []


def test_what_is_no_run_is_told_in_a_line(run: Path, tmp_path: Path) -> None:
    def said(folder: Path) -> str:
        with pytest.raises(GeorankerError) as told:
            Localizer.from_run(folder)
        assert "\n" not in str(told.value)
        return str(told.value)

    assert said(tmp_path / "none").startswith(f"{tmp_path / 'none'} is not a finished run: no such folder; make one")
    (tmp_path / "empty").mkdir()
    assert "it lacks retriever.ckpt and gallery and ranker.ckpt" in said(tmp_path / "empty")
    for broken, complaint in {
        "retriever.ckpt": "not a checkpoint, or cut short",
        "ranker.ckpt": "not a checkpoint, or cut short",
        "gallery/places.parquet": "cannot be read",
        "gallery/looks.npy": "cannot be read",
        "candidates/test.parquet": "cannot be read",
        "predictions.parquet": "cannot be read",
        "metrics.json": "cannot be read",
    }.items():
        copied = tmp_path / broken.replace("/", "-")
        shutil.copytree(run, copied)
        (copied / broken).write_bytes(b"garbage")
        assert complaint in said(copied)
        assert str(copied) in said(copied)
    shutil.copy(run / "ranker.ckpt", copied / "retriever.ckpt")
    assert "retriever.ckpt" in said(copied)


def test_a_run_needs_nothing_but_its_models(run: Path, small_run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "gallery", tmp_path / "gallery")
    for name in ("retriever.ckpt", "ranker.ckpt"):
        shutil.copy(run / name, tmp_path)
    bare = Localizer.from_run(tmp_path)
    bare.candidates = 8  # its default is the 20 of the shipped configs, and this run's lists have 8
    image = tile(small_run)
    assert bare.localize(image).candidates == Localizer.from_run(run).localize(image).candidates
    trust = bare.localize(image).trust
    assert trust.right is None
    assert trust.similarity is None
    assert trust.looks is not None
    assert "was not measured" in trust.explained()
    (tmp_path / "gallery" / "looks.npy").unlink()
    trust = Localizer.from_run(tmp_path).localize(image).trust
    assert str(trust) == "not measured"
    assert trust.explained().count("was not measured") == 2
