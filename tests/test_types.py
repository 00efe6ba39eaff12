"""The vocabulary refuses what cannot be, and photos of every kind decode to what people see."""

from __future__ import annotations

import dataclasses
import io
import math
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from georanker.stores.folder_store import FolderStore
from georanker.types import (
    Candidate,
    CandidateList,
    GeorankerError,
    Localization,
    Photo,
    PhotoBatch,
    Place,
    RankingBatch,
)


@dataclass(frozen=True)
class Memory:
    """A source that holds one photo."""

    data: bytes

    def read(self, photo_id: str) -> bytes:
        return self.data


def encoded(image: Image.Image, file_format: str, exif: Image.Exif | None = None) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **({} if exif is None else {"exif": exif}))
    return buffer.getvalue()


def decoded(data: bytes) -> np.ndarray:
    image = Photo("trip/1.jpg", None, Memory(data)).load()
    assert image.mode == "RGB"
    return np.asarray(image)


def picture() -> np.ndarray:
    """(8, 12, 3), whose corners differ, so that no two of its eight positions are the same."""
    pixels = np.zeros((8, 12, 3), np.uint8)
    pixels[:4, :6] = 255, 0, 0
    pixels[:4, 6:] = 0, 255, 0
    pixels[4:, :6] = 0, 0, 255
    pixels[4:, 6:] = 200, 200, 200
    return pixels


LOUVRE = Place(48.8606, 2.3376, "Paris", "Île-de-France", "France")


@pytest.mark.parametrize(
    ("latitude", "longitude", "named"),
    [
        (120, 0, "latitude 120"),
        (90.0000001, 0, "latitude 90.0000001"),
        (-91, 500, "latitude -91"),
        (math.nan, 0, "latitude nan"),
        (math.inf, 0, "latitude inf"),
        (0, 180.5, "longitude 180.5"),
        (0, -181, "longitude -181"),
        (0, math.nan, "longitude nan"),
    ],
)
def test_a_place_that_does_not_exist(latitude: float, longitude: float, named: str) -> None:
    limit = 90 if "latitude" in named else 180
    with pytest.raises(GeorankerError, match=re.escape(f"{named} is outside [-{limit}, {limit}] degrees")):
        Place(latitude, longitude)


@given(latitude=st.floats(-90, 90), longitude=st.floats(-180, 180))
@settings(deadline=None, derandomize=True)
def test_every_place_that_exists(latitude: float, longitude: float) -> None:
    place = Place(latitude, longitude)
    assert (place.latitude, place.longitude) == (latitude, longitude)
    assert str(place) == f"{latitude:.4f}, {longitude:.4f}"


def test_places_by_name() -> None:
    assert str(LOUVRE) == "Paris, Île-de-France, France (48.8606, 2.3376)"
    assert Place(0, 0, country="Gabon").names == ("Gabon",)


def test_what_cannot_be_is_named() -> None:
    photo, candidate = Photo("a.jpg"), Candidate(LOUVRE)
    for make, named in (
        (lambda: Photo(""), "photo's id is empty"),
        (lambda: Candidate(LOUVRE, math.nan), r"Paris.*score NaN"),
        (lambda: Candidate(LOUVRE, gallery_row=-1), "gallery_row -1 is negative"),
        (lambda: CandidateList(photo, ()), "photo a.jpg: its list of candidates is empty"),
        (lambda: photo.load(), "photo a.jpg: no source"),
    ):
        with pytest.raises(GeorankerError, match=named):
            make()
    assert len(CandidateList(photo, (candidate, candidate))) == 2
    assert Candidate(LOUVRE, -math.inf).score == -math.inf


def test_nothing_changes_once_made() -> None:
    found = CandidateList(Photo("a.jpg"), (Candidate(LOUVRE),))
    batch = PhotoBatch(("a",), torch.zeros(1, 3, 2, 2), torch.zeros(1, 2))
    for frozen in (
        LOUVRE,
        found,
        found.photo,
        found.candidates[0],
        batch,
        Localization(found.photo, (), Candidate(LOUVRE)),
    ):
        for field in dataclasses.fields(frozen):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(frozen, field.name, None)


def test_a_photo_is_what_it_is_called_not_where_it_lies() -> None:
    assert Photo("a", LOUVRE, Memory(b"1")) == Photo("a", LOUVRE, Memory(b"2"))


def test_answers_in_words() -> None:
    best = Candidate(LOUVRE, 2.5)
    answer = Localization(Photo("a.jpg", LOUVRE), (best, Candidate(Place(0, 0), 1)), best, 1234.5)
    assert (answer.place, answer.score) == (LOUVRE, 2.5)
    assert str(answer) == f"a.jpg: {LOUVRE}, score 2.500, 1,234 km from the truth"
    assert "truth" not in str(replace(answer, error_km=None))


# Which transposition of the upright picture a camera stores for each orientation, from the EXIF standard (CIPA
# DC-008, tag 274): where row 0 and column 0 of what is stored lie in what was seen.
STORED = {
    1: lambda seen: seen,  # top, left
    2: lambda seen: seen[:, ::-1],  # top, right
    3: lambda seen: seen[::-1, ::-1],  # bottom, right
    4: lambda seen: seen[::-1],  # bottom, left
    5: lambda seen: seen.swapaxes(0, 1),  # left, top
    6: lambda seen: seen[:, ::-1].swapaxes(0, 1),  # right, top
    7: lambda seen: seen[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda seen: seen[::-1].swapaxes(0, 1),  # left, bottom
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "I;16"])
def test_photos_are_upright(orientation: int, mode: str) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](picture())))
    if mode == "I;16":
        stored = Image.fromarray(np.asarray(stored.convert("L")).astype(np.uint16) * 257)
        seen = np.asarray(Image.fromarray(picture()).convert("L").convert("RGB"))
    else:
        stored, seen = stored.convert(mode), picture()
    np.testing.assert_array_equal(decoded(encoded(stored, "PNG", exif)), seen)


@pytest.mark.parametrize(
    ("mode", "file_format"),
    [("RGB", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("P", "GIF"), ("CMYK", "TIFF"), ("RGB", "BMP"), ("RGB", "PPM")],
)
def test_modes_decode_to_the_same_colours(mode: str, file_format: str) -> None:
    image = Image.fromarray(picture())
    image = image.convert("P", palette=Image.Palette.ADAPTIVE) if mode == "P" else image.convert(mode)
    np.testing.assert_array_equal(decoded(encoded(image, file_format)), picture())


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_jpeg_keeps_the_colours_nearly(mode: str) -> None:
    seen = np.asarray(
        Image.fromarray(picture()).resize((96, 64), Image.Resampling.NEAREST).convert(mode).convert("RGB")
    )
    error = np.abs(decoded(encoded(Image.fromarray(seen).convert(mode), "JPEG")).astype(int) - seen)
    assert error.mean() < 6


def test_sixteen_bits_keep_their_shades() -> None:
    shades = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    wide = Image.fromarray(shades)
    pgm = b"P5 16 16 65535\n" + shades.astype(">u2").tobytes()
    for data in (encoded(wide, "PNG"), encoded(wide, "TIFF"), pgm):
        np.testing.assert_array_equal(decoded(data), np.arange(256).reshape(16, 16, 1).repeat(3, 2))


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_thirty_two_bits_are_refused(dtype: type[np.generic]) -> None:
    with pytest.raises(GeorankerError, match=r"photo trip/1\.jpg: .*32 bits"):
        decoded(encoded(Image.fromarray(np.ones((4, 4), dtype)), "TIFF"))


def test_palette_with_transparency_does_not_warn() -> None:
    image = Image.fromarray(picture()).convert("P", palette=Image.Palette.ADAPTIVE)
    image.info["transparency"] = bytes([0, 128, 255])
    np.testing.assert_array_equal(decoded(encoded(image, "PNG")), picture())


def test_of_an_animation_the_first_picture() -> None:
    first, second = Image.new("RGB", (5, 4), (255, 0, 0)), Image.new("RGB", (5, 4), (0, 0, 255))
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=[second])
    assert (decoded(buffer.getvalue()) == (255, 0, 0)).all()


def test_one_pixel() -> None:
    assert decoded(encoded(Image.new("RGB", (1, 1), (1, 2, 3)), "PNG")).tolist() == [[[1, 2, 3]]]


def jpeg() -> bytes:
    return encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)), "JPEG")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (jpeg()[:1200], "cannot be decoded .*truncated"),
        (encoded(Image.fromarray(picture()), "PNG")[:50], "cannot be decoded"),
        (b"", "not an image; JPEG, PNG, .* are read$"),
        (b"<html>404</html>", "not an image; JPEG, PNG, .* are read$"),
        (b"P6 100000 100000 255\n", r"cannot be decoded \(.*pixels.*\); make it smaller$"),
    ],
    ids=["cut JPEG", "cut PNG", "empty", "page", "bomb"],
)
def test_what_does_not_decode_is_named_in_a_line(data: bytes, fault: str) -> None:
    with pytest.raises(GeorankerError, match=rf"^photo trip/1\.jpg: {fault}") as raised:
        decoded(data)
    assert "\n" not in str(raised.value)
    assert " at 0x" not in str(raised.value)


@pytest.mark.filterwarnings("ignore")  # Pillow's own, of damaged tags
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "DDS"])
def test_damage_gives_an_image_or_one_error(file_format: str) -> None:
    good = encoded(Image.fromarray(picture()), file_format)
    random = np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(good)
        for place in random.integers(0, min(len(data), 200), 4):
            data[place] = random.integers(0, 256)
        try:
            decoded(bytes(data))
        except GeorankerError as error:
            assert str(error).startswith("photo trip/1.jpg: ")  # noqa: PT017  (both ends are right)


def ranking_batch() -> RankingBatch:
    found = CandidateList(Photo("a"), (Candidate(LOUVRE),))
    return RankingBatch(
        photo_ids=("a", "b"),
        places=torch.zeros(2, 3, 2, dtype=torch.float64),
        truth=torch.full((2, 2), torch.nan, dtype=torch.float64),
        distances_km=torch.ones(2, 3, dtype=torch.float64),
        retrieval_scores=torch.ones(2, 3),
        mask=torch.ones(2, 3, dtype=torch.bool),
        inputs={"query": torch.ones(2, 4), "rows": torch.ones(2, dtype=torch.long)},
        lists=(found, found),
    )


def test_a_batch_moves_whole() -> None:
    batch = ranking_batch()
    moved = batch.to(torch.device("meta"), non_blocking=True)
    assert type(moved) is RankingBatch
    assert (moved.photo_ids, moved.lists, len(moved)) == (batch.photo_ids, batch.lists, 2)
    for field in dataclasses.fields(batch):
        before, after = getattr(batch, field.name), getattr(moved, field.name)
        for one, two in (
            zip(before.values(), after.values(), strict=True) if field.name == "inputs" else [(before, after)]
        ):
            if isinstance(one, torch.Tensor):
                assert two.is_meta, field.name
                assert (two.shape, two.dtype) == (one.shape, one.dtype)
    assert not batch.places.is_meta, "the batch itself stays where it is"


def test_every_tensor_of_a_batch_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.Tensor] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor)
        return tensor + 0

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)  # this machine may have nothing to pin for
    batch = ranking_batch()
    again = batch.pin_memory()
    tensors = [
        batch.places,
        batch.truth,
        batch.distances_km,
        batch.retrieval_scores,
        batch.mask,
        *batch.inputs.values(),
    ]
    assert {id(tensor) for tensor in pinned} == {id(tensor) for tensor in tensors}
    assert again.inputs["query"] is not batch.inputs["query"]


def test_a_photo_of_the_usual_kind_is_decoded_and_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.fromarray(picture()), "JPEG")
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image)

    def refuse(self: Image.Image, mode: str) -> Image.Image:
        raise AssertionError("it is RGB already")

    monkeypatch.setattr(Image.Image, "convert", refuse)
    assert (decoded(data) == expected).all()


def test_no_program_runs_on_what_is_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow gives EPS, whatever the file is called, to Ghostscript, which does what the file says."""
    called = tmp_path / "called"
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {called}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    drawing = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 40\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(OSError, match="cannot identify"):  # this program draws nothing
        Image.open(io.BytesIO(drawing)).load()
    assert called.exists(), "Pillow does so by itself"
    called.unlink()
    (tmp_path / "photo.jpg").write_bytes(drawing)
    with pytest.raises(GeorankerError, match=r"photo photo\.jpg: not an image"):
        Photo("photo.jpg", source=FolderStore(tmp_path)).load()
    assert not called.exists()
