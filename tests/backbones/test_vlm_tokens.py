"""The tokens of prompts: pinned for Qwen2-VL, and for each family those of its stock processor.

`python -m tests.backbones.test_vlm_tokens` writes the pinned ones anew.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoConfig

from georanker.backbones.vlm_collator import VLMCollator
from georanker.prompts.template_prompt import TemplatePrompt
from georanker.types import Candidate, CandidateList, Photo, Place
from georanker.vlm.loading import load_processor
from georanker.vlm.photo_reader import PhotoReader
from tests.conftest import ROOT
from tests.tiny_vlms import FAMILIES, stock_processor, tiny_vlm
from tests.vlm_world import Album, some_lists, token_ids

SNAPSHOT = Path(__file__).with_name("vlm_tokens.json")
Tiny = Callable[[str], Path]

ALBUM = Album()
PARIS, PERU = Place(48.8566, 2.3522, "Paris", "Île-de-France", "France"), Place(-13.1631, -72.545, country="Peru")
NAMELESS = Place(12.0, -3.5)
NEGATIVES = (Candidate(PERU), Candidate(NAMELESS), Candidate(Place(0.5, 179.25, city="Suva")))
GUESS = Candidate(NAMELESS, source="generated")
CANDIDATE = ALBUM.photo("candidate")
PAPER = TemplatePrompt()


def configured(name: str) -> TemplatePrompt:
    """Return a prompt of configs/prompt."""
    settings = yaml.safe_load((ROOT / f"configs/prompt/{name}.yaml").read_text(encoding="utf-8"))
    return TemplatePrompt(**settings["init_args"])


VARIANTS: dict[str, tuple[TemplatePrompt, Candidate, tuple[Candidate, ...]]] = {
    "paper, some names missing": (PAPER, Candidate(PERU, photo=CANDIDATE), NEGATIVES),
    "paper, all names missing": (PAPER, Candidate(NAMELESS, photo=CANDIDATE), NEGATIVES),
    "paper, no photo": (PAPER, Candidate(PARIS), NEGATIVES),
    "paper, neither photo nor names": (PAPER, Candidate(NAMELESS), NEGATIVES),
    "paper, without negatives": (PAPER, Candidate(PARIS, photo=CANDIDATE), ()),
    "paper, generated, without negatives": (PAPER, GUESS, ()),
}
for path in sorted((ROOT / "configs/prompt").glob("*.yaml")):
    VARIANTS[path.stem] = configured(path.stem), Candidate(PARIS, photo=CANDIDATE), NEGATIVES
    VARIANTS[f"{path.stem}, generated"] = configured(path.stem), GUESS, NEGATIVES


def collator(folder: Path, prompt: TemplatePrompt = PAPER, context: int = 4096) -> VLMCollator:
    reader = PhotoReader(load_processor(str(folder)), AutoConfig.from_pretrained(folder).image_token_id)
    return VLMCollator(reader, prompt, context)


def tokens_of_variants(folder: Path) -> dict[str, list[int]]:
    found = {}
    for name, (prompt, candidate, negatives) in VARIANTS.items():
        one = CandidateList(ALBUM.photo("query"), (candidate,), negatives)
        (found[name],) = token_ids(collator(folder, prompt)([one]))
    return found


def snapshot(folder: Path) -> str:
    """Return the tokens of each variant, and what they read as."""
    tokenizer = stock_processor(folder).tokenizer
    entries = [
        f'{json.dumps(name)}: {{\n"text": {json.dumps(tokenizer.decode(ids), ensure_ascii=False)},\n"ids": {ids}\n}}'
        for name, ids in tokens_of_variants(folder).items()
    ]
    return "{\n" + ",\n".join(entries) + "\n}\n"


def test_each_variant_is_pinned(tiny: Tiny) -> None:
    pinned, found = json.loads(SNAPSHOT.read_text(encoding="utf-8")), json.loads(snapshot(tiny("qwen2_vl")))
    assert found.keys() == pinned.keys()
    for name, entry in pinned.items():
        assert found[name]["text"] == entry["text"], name
        assert found[name]["ids"] == entry["ids"], name


def test_what_is_pinned_is_qwens_layout() -> None:
    """Written by hand: its system turn, and a token for each 28 x 28 pixels of a photo between two markers."""

    def shown(photo: Photo) -> str:
        sides = [max(1, round(side / 28)) for side in photo.load().size]
        return "<|vision_start|>" + "<|image_pad|>" * (sides[0] * sides[1]) + "<|vision_end|>"

    query, candidate = shown(ALBUM.photo("query")), shown(CANDIDATE)
    before = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    after = "<|im_end|>\n<|im_start|>assistant\n"
    asked = "How far is this place from latitude: "
    negatives = (
        "Negative examples: latitude: -13.1631, longitude: -72.545, Peru; latitude: 12.0, longitude: -3.5, ; "
        "latitude: 0.5, longitude: 179.25, Suva"
    )
    paris = f"{query}{asked}48.8566, longitude: 2.3522, Paris Île-de-France France?"
    guess = f"{query}{asked}12.0, longitude: -3.5?"
    inner = {
        "paper, some names missing": f"{query}{asked}-13.1631, longitude: -72.545, Peru?{candidate}{negatives}",
        "paper, all names missing": f"{query}{asked}12.0, longitude: -3.5, ?{candidate}{negatives}",
        "paper, no photo": f"{paris}{negatives}",
        "paper, neither photo nor names": f"{query}{asked}12.0, longitude: -3.5, ?{negatives}",
        "paper, without negatives": f"{paris}{candidate}",
        "paper, generated, without negatives": guess,
        "georanker": f"{paris}{candidate}{negatives}",
        "georanker, generated": f"{guess}{negatives}",
        "short": f"{query}{asked}48.8566, longitude: 2.3522?{candidate}",
        "short, generated": guess,
        "shared_first": f"{query}{negatives}. {paris.removeprefix(query)}{candidate}",
        "shared_first, generated": f"{query}{negatives}. {guess.removeprefix(query)}",
        "without_candidate_photos": f"{paris}{negatives}",
        "without_candidate_photos, generated": f"{guess}{negatives}",
        "without_negatives": f"{paris}{candidate}",
        "without_negatives, generated": guess,
    }
    pinned = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert {name: entry["text"] for name, entry in pinned.items()} == {
        name: before + text + after for name, text in inner.items()
    }


def stock_ids(processor: Any, parts: tuple[str | Photo, ...]) -> list[int]:
    """What the stock processor makes of its own chat template's text."""
    content = [{"type": "text", "text": p} if isinstance(p, str) else {"type": "image"} for p in parts]
    chat = [{"role": "user", "content": content}]
    text = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    images = [part.load() for part in parts if isinstance(part, Photo)]
    begun = processor.tokenizer.bos_token is not None and text.startswith(processor.tokenizer.bos_token)
    made = processor(text=[text], images=[images] if images else None, add_special_tokens=not begun)
    ids: list[int] = list(made["input_ids"][0])
    return ids


@pytest.mark.parametrize("family", FAMILIES)
def test_tokens_are_those_of_the_stock_processor(family: str, tiny: Tiny) -> None:
    processor = stock_processor(tiny(family))
    for name, (prompt, candidate, negatives) in VARIANTS.items():
        one = CandidateList(ALBUM.photo("query"), (candidate,), negatives)
        (found,) = token_ids(collator(tiny(family), prompt)([one]))
        assert found == stock_ids(processor, prompt.parts(one, candidate)), name


@pytest.mark.parametrize("family", FAMILIES)
def test_features_stand_where_the_photos_are(family: str, tiny: Tiny) -> None:
    """In each prompt the rows count up photo by photo, those of the query's photo first."""
    made = collator(tiny(family))
    batch = made(some_lists(ALBUM))
    counts = batch.inputs["counts"].tolist()
    starts = {sum(counts[:number]): number for number in range(len(counts))}
    for b, k in batch.mask.nonzero().tolist():
        rows = batch.inputs["rows"][b, k]
        shown = rows[rows >= 0].tolist()
        photos = []
        while shown:
            start, size = shown[0], counts[starts[shown[0]]]
            assert shown[:size] == list(range(start, start + size))
            photos.append(starts[start])
            shown = shown[size:]
        assert len(photos) == (2 if some_lists(ALBUM)[b].candidates[k].photo else 1)
        assert (batch.inputs["ids"][b, k][rows >= 0] == made.reader.photo_id).all()


def special_tokens(folder: Path) -> list[str]:
    """All that the tokenizer's own file calls special."""
    added = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    return [token["content"] for token in added if token["special"]]


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_city_named_like_a_special_token_is_only_a_name(
    family: str, listed: bool, tiny: Tiny, tmp_path: Path
) -> None:
    """Also one that is a special token again once another is taken out of it, or that no file gives a role."""
    folder = tiny(family)
    if not listed:
        folder = unlisted(folder, tmp_path / "unlisted")
    made = collator(folder)
    specials = special_tokens(folder)
    assert made.reader.processor.image_token in specials
    found = some_lists(ALBUM)[0]
    photos = [(0, made.reader.read(photo)) for photo in (found.photo, CANDIDATE)]

    def ids(city: str) -> tuple[int, ...]:
        candidate = Candidate(Place(1.5, 2.5, city, country="Peru"), photo=CANDIDATE)
        negative = Candidate(Place(3.5, 4.5, city))
        return made.tokenize(PAPER.parts(CandidateList(found.photo, (candidate,), (negative,)), candidate), photos).ids

    plain, image = ids("AB"), made.reader.processor.image_token
    for token in specials:
        for city in (f"A{token}B", f"A{token[:3]}{image}{token[3:]}B", f"A{token[:1]}{token}{token[1:]}B"):
            assert ids(city) == plain, city


def unlisted(folder: Path, copy: Path) -> Path:
    """A copy of a model's processor whose settings list no special tokens; the tokenizer's own file has them."""
    copy.mkdir()
    for path in folder.iterdir():
        if path.suffix in (".json", ".jinja"):
            (copy / path.name).write_bytes(path.read_bytes())
    settings = json.loads((copy / "tokenizer_config.json").read_text(encoding="utf-8"))
    del settings["additional_special_tokens"]
    (copy / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return copy


def test_a_city_named_like_a_special_token_is_scored_like_any_other(tiny: Tiny) -> None:
    make = collator(tiny("qwen2_vl"))
    query, image = ALBUM.photo("query"), make.reader.processor.image_token
    odd, usual = (
        make([CandidateList(query, (Candidate(Place(1.5, 2.5, city), photo=CANDIDATE),))])
        for city in (f"Ca{image}llao", "Callao")
    )
    for name, tensor in usual.inputs.items():
        assert odd.inputs[name].equal(tensor), name


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made_here:
        SNAPSHOT.write_text(snapshot(tiny_vlm("qwen2_vl", Path(made_here))), encoding="utf-8")
