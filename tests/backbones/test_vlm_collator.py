"""Photos on their way into a batch: read once, re-encoded and bounded as asked, also in a worker process."""

from __future__ import annotations

import io
import math
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor

from georanker.backbones.vlm_collator import VLMCollator
from georanker.prompts.template_prompt import TemplatePrompt
from georanker.types import Candidate, CandidateList, GeorankerError, Photo, Place, RankingBatch
from georanker.vlm.loading import load_processor
from georanker.vlm.photo_reader import PhotoReader
from tests.conftest import ROOT
from tests.tiny_vlms import FAMILIES, stock_processor
from tests.vlm_world import Album, some_lists

Tiny = Callable[[str], Path]
PIXEL_BOUNDED = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5")
TWO_WAYS = "llava_onevision"
"""Takes a photo in another way when it stands alone in a prompt."""


def reader(folder: Path, **bounds: Any) -> PhotoReader:
    return PhotoReader(load_processor(str(folder)), AutoConfig.from_pretrained(folder).image_token_id, **bounds)


def collator(folder: Path, **settings: Any) -> VLMCollator:
    return VLMCollator(reader(folder), TemplatePrompt(), 4096, **settings)


def same(one: RankingBatch, other: RankingBatch) -> bool:
    return one.inputs.keys() == other.inputs.keys() and all(
        torch.equal(tensor, other.inputs[name]) for name, tensor in one.inputs.items()
    )


class Jpegs:
    """An album whose photos are stored as JPEG."""

    def __init__(self, album: Album, quality: int) -> None:
        self.album, self.quality = album, quality

    def read(self, photo_id: str) -> bytes:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(self.album.read(photo_id))).save(buffer, "JPEG", quality=self.quality)
        return buffer.getvalue()


def stored_as_jpeg(lists: list[CandidateList], candidates: int | None, query: int | None) -> list[CandidateList]:
    """The same lists, with the photos of their candidates or their queries stored as JPEG already."""
    sources = {quality: Jpegs(Album(), quality) for quality in (candidates, query) if quality is not None}

    def stored(photo: Photo, quality: int | None) -> Photo:
        return photo if quality is None else replace(photo, source=sources[quality])

    return [
        replace(
            found,
            photo=stored(found.photo, query),
            candidates=tuple(
                replace(each, photo=stored(each.photo, candidates)) if each.photo else each for each in found.candidates
            ),
        )
        for found in lists
    ]


@pytest.mark.parametrize("family", ["qwen2_vl", "idefics3", "llava_onevision", "gemma3"])
@pytest.mark.parametrize(("candidates", "query"), [(75, None), (None, 60), (75, 60)])
def test_reencoded_photos_are_those_of_a_jpeg(
    family: str, candidates: int | None, query: int | None, tiny: Tiny
) -> None:
    lists = some_lists(Album())[:2]
    found = collator(tiny(family), reencode_jpeg=candidates, reencode_query_jpeg=query)(lists)
    plain = collator(tiny(family))
    assert same(found, plain(stored_as_jpeg(lists, candidates, query)))
    assert not same(found, plain(lists))


@pytest.mark.parametrize("copied", [True, False])
def test_the_query_as_its_own_candidate_is_reencoded_as_a_candidate(copied: bool, tiny: Tiny) -> None:
    query = Album().photo("query")
    own = CandidateList(query, (Candidate(Place(1, 2), photo=replace(query) if copied else query),))
    found = collator(tiny("qwen2_vl"), reencode_jpeg=75)([own])
    assert same(found, collator(tiny("qwen2_vl"))(stored_as_jpeg([own], 75, None)))


@pytest.mark.parametrize("family", FAMILIES)
def test_each_photo_is_read_once(family: str, tiny: Tiny) -> None:
    album = Album()
    lists = [found for found in some_lists(album) for _ in range(2)]
    collator(tiny(family), reencode_jpeg=75, reencode_query_jpeg=75)(lists)
    shown = {found.photo.id for found in lists} | {c.photo.id for found in lists for c in found.candidates if c.photo}
    assert album.reads == dict.fromkeys(shown, 1) | ({"query": 2} if family == TWO_WAYS else {})


def test_a_lost_photo_is_told_once_and_its_candidates_get_no_prompt(tiny: Tiny) -> None:
    album = Album()
    lost = Candidate(Place(1, 2), photo=album.photo("lost"))
    found = some_lists(album)[0]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        batch = collator(tiny("qwen2_vl"))([replace(found, candidates=(*found.candidates, lost, lost))])
    assert [str(each.message) for each in told] == ["photo lost: not in the album; what needs it ranks last"]
    assert album.reads["lost"] == 1
    assert batch.inputs["unread"].tolist() == [[False] * 4 + [True] * 2]
    assert (batch.inputs["lengths"] > 0).tolist() == [[True] * 4 + [False] * 2]
    assert batch.mask.all()


class Drawn:
    """One photo of a given size."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.radial_gradient("L").resize((width, height)).convert("RGB")

    def read(self, photo_id: str) -> bytes:
        buffer = io.BytesIO()
        self.image.save(buffer, "PNG")
        return buffer.getvalue()


def test_a_photo_that_the_model_cannot_take_is_named(tiny: Tiny) -> None:
    with pytest.raises(GeorankerError, match=r"^photo thin: the model cannot take it \(absolute aspect ratio .*\)$"):
        reader(tiny("qwen2_vl")).read(Photo("thin", source=Drawn(300, 1)))


DRAWN = [(20, 21), (20, 200), (57, 83), (83, 57), (100, 100), (110, 90), (150, 40), (200, 190)]


@pytest.mark.parametrize("family", PIXEL_BOUNDED)
@pytest.mark.parametrize(
    "bounds", [{"max_pixels": 9000}, {"min_pixels": 20_000}, {"min_pixels": 6000, "max_pixels": 30_000}]
)
def test_qwen_keeps_the_area_between_the_bounds(family: str, bounds: dict[str, int], tiny: Tiny) -> None:
    """As its own image processor does when it is told so."""
    bounded, own = reader(tiny(family), **bounds), AutoImageProcessor.from_pretrained(tiny(family))
    size = {
        "shortest_edge": bounds.get("min_pixels", own.size["shortest_edge"]),
        "longest_edge": bounds.get("max_pixels", own.size["longest_edge"]),
    }
    for sides in DRAWN:
        source = Drawn(*sides)
        found = bounded.read(Photo("drawn", source=source))
        expected = own(images=[source.image], size=size, return_tensors="pt")
        for name in ("pixel_values", "image_grid_thw"):
            torch.testing.assert_close(found.tensors[name], expected[name], rtol=0, atol=0)
        _, rows, columns = found.tensors["image_grid_thw"][0].tolist()
        assert size["shortest_edge"] <= rows * columns * own.patch_size**2 <= size["longest_edge"], sides
        assert found.count == rows * columns // 4


@pytest.mark.parametrize("family", ["llava", "llava_next", "idefics3", "internvl", "aya_vision"])
@pytest.mark.parametrize(
    "bounds", [{"max_pixels": 2000}, {"min_pixels": 30_000}, {"min_pixels": 6000, "max_pixels": 12_000}]
)
def test_a_model_without_bounds_sees_a_smaller_or_larger_photo(family: str, bounds: dict[str, int], tiny: Tiny) -> None:
    bounded, stock = reader(tiny(family), **bounds), stock_processor(tiny(family))
    for sides in DRAWN:
        source = Drawn(*sides)
        area = min(max(math.prod(sides), bounds.get("min_pixels", 0)), bounds.get("max_pixels", math.inf))
        scale = math.sqrt(area / math.prod(sides))
        resized = source.image.resize([round(side * scale) for side in sides], Image.Resampling.BICUBIC)
        expected = stock(text=[stock.image_token], images=[[resized]], return_tensors="pt")
        found = bounded.read(Photo("drawn", source=source))
        assert found.count == (expected["input_ids"] == bounded.photo_id).sum()
        torch.testing.assert_close(found.tensors["pixel_values"], expected["pixel_values"], rtol=0, atol=0)
        usual = stock(text=[stock.image_token], images=[[source.image]], return_tensors="pt")["pixel_values"]
        assert (area == math.prod(sides)) == usual.equal(found.tensors["pixel_values"]), sides


def test_collators_travel_to_spawned_workers(tiny: Tiny, tmp_path: Path) -> None:
    """Those of all families at once, since a new process takes seconds to import transformers."""
    lists = some_lists(Album())
    made = {family: collator(tiny(family), reencode_jpeg=75) for family in FAMILIES}
    (tmp_path / "sent").write_bytes(pickle.dumps((made, lists)))
    code = (
        "import pickle, sys; from pathlib import Path; folder = Path(sys.argv[1]);"
        "made, lists = pickle.loads((folder / 'sent').read_bytes());"
        "batches = {family: collate(lists) for family, collate in made.items()};"
        "(folder / 'back').write_bytes(pickle.dumps(batches))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    back = pickle.loads((tmp_path / "back").read_bytes())
    for family, collate in made.items():
        assert same(back[family], collate(lists)), family
        assert same(pickle.loads(pickle.dumps(collate))(lists), back[family]), family
