"""Photos, candidate lists and plain references for the tests of vision-language models."""

from __future__ import annotations

import io
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import AutoModelForImageTextToText

from georanker.backbones.vlm import VLMBackbone
from georanker.types import Candidate, CandidateList, GeorankerError, Photo, Place, RankingBatch
from tests.tiny_vlms import stock_processor

Turn = Sequence[str | Photo]
SIZES = ((100, 75), (64, 96), (120, 60), (56, 56))
NOT_SHARED = "ignore:.*qwen3_5.*what candidates share is computed for each of them:UserWarning"
"""Qwen3.5 says so: its linear attention has no prefix to share."""


class Album:
    """Draws each photo from its name, and counts how often it is asked for; `lost` photos are not there."""

    def __init__(self) -> None:
        self.reads: Counter[str] = Counter()

    def read(self, photo_id: str) -> bytes:
        self.reads[photo_id] += 1
        if photo_id.startswith("lost"):
            raise GeorankerError(f"photo {photo_id}: not in the album")
        dice = np.random.default_rng(zlib.crc32(photo_id.encode()))
        width, height = SIZES[dice.integers(len(SIZES))]
        pixels = dice.integers(0, 255, (height // 4, width // 4, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).resize((width, height)).save(buffer, "PNG")
        return buffer.getvalue()

    def photo(self, photo_id: str, place: Place | None = None) -> Photo:
        return Photo(photo_id, place, self)


def some_lists(album: Album) -> list[CandidateList]:
    """Lists of four, one and three candidates: with and without photos, names and negatives, some photos shared."""
    paris, lyon = Place(48.8566, 2.3522, "Paris", "Île-de-France", "France"), Place(45.75, 4.85, city="Lyon")
    peru, nowhere = Place(-13.1631, -72.545, country="Peru"), Place(12.0, -3.5)
    query, shared = album.photo("query", Place(48.0, 2.0)), album.photo("shared")
    candidates = (
        Candidate(paris, photo=shared),
        Candidate(nowhere, photo=album.photo("nameless")),
        Candidate(peru),
        Candidate(nowhere, source="generated"),
    )
    negatives = (Candidate(lyon, photo=album.photo("far")), Candidate(Place(-0.5, 100.25)), Candidate(peru))
    others = (Candidate(lyon, photo=query), Candidate(paris, photo=shared), Candidate(peru, photo=album.photo("peru")))
    return [
        CandidateList(query, candidates, negatives),
        CandidateList(album.photo("second", Place(-10.0, -70.0)), (Candidate(peru, photo=shared),)),
        CandidateList(query, others),
    ]


def paper_turn(found: CandidateList, candidate: Candidate) -> Turn:
    """The paper's prompt, written out."""

    def where(place: Place) -> str:
        names = [name for name in (place.city, place.state, place.country) if name]
        return f"latitude: {place.latitude}, longitude: {place.longitude}, {' '.join(names)}"

    here = candidate.place
    guessed = candidate.source == "generated"
    place = f"latitude: {here.latitude}, longitude: {here.longitude}" if guessed else where(here)
    turn: list[str | Photo] = [found.photo, f"How far is this place from {place}?"]
    if candidate.photo is not None and not guessed:
        turn.append(candidate.photo)
    if found.negatives:
        turn.append("Negative examples: " + "; ".join(where(negative.place) for negative in found.negatives))
    return turn


class Plain:
    """A model and its processor as transformers loads and calls them."""

    def __init__(self, folder: Path) -> None:
        self.processor = stock_processor(folder)
        self.model: Any = AutoModelForImageTextToText.from_pretrained(folder).eval()
        self.model.requires_grad_(False)

    def inputs(self, *turns: Turn, padding_side: str = "left") -> dict[str, Tensor]:
        """Return what the stock processor makes of some prompts, padded."""
        chats = [[{"role": "user", "content": [_content(part) for part in turn]}] for turn in turns]
        self.processor.tokenizer.padding_side = padding_side
        made = self.processor.apply_chat_template(
            chats,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        )
        return dict(made)

    def hidden(self, *turns: Turn, padding_side: str = "left") -> Tensor:
        """Return (N, H) the last hidden state of each prompt's last token."""
        inputs = self.inputs(*turns, padding_side=padding_side)
        states: Tensor = self.model.base_model(**inputs).last_hidden_state
        last = [int(mask.nonzero().max()) for mask in inputs["attention_mask"]]
        return torch.stack([state[place] for state, place in zip(states, last, strict=True)])

    def hidden_alone(self, turns: Sequence[Turn]) -> Tensor:
        """Return the same, one prompt at a time."""
        return torch.cat([self.hidden(turn) for turn in turns])


def _content(part: str | Photo) -> dict[str, Any]:
    return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": part.load()}


def turns(lists: Sequence[CandidateList]) -> list[Turn]:
    """The paper's prompt about each candidate, those of a list side by side."""
    return [paper_turn(found, candidate) for found in lists for candidate in found.candidates]


def token_ids(batch: RankingBatch) -> list[list[int]]:
    """The tokens of each prompt of a batch, without padding."""
    lengths, ids = batch.inputs["lengths"], batch.inputs["ids"]
    return [ids[b, k, : lengths[b, k]].tolist() for b, k in batch.mask.nonzero().tolist()]


@torch.no_grad()
def scored(backbone: VLMBackbone, lists: Sequence[CandidateList]) -> Tensor:
    """The scores of all candidates, those of a list side by side."""
    batch = backbone.collator(lists)
    scores: Tensor = backbone(batch)
    assert scores.shape == batch.mask.shape
    assert scores.dtype == torch.float32
    return scores[batch.mask]


def adapter_weights(backbone: VLMBackbone) -> dict[str, torch.nn.Parameter]:
    """The low-rank matrices by their names in the model."""
    return {name: weight for name, weight in backbone.model.named_parameters() if ".lora_" in name}


@torch.no_grad()
def awaken(backbone: VLMBackbone, seed: int = 0) -> VLMBackbone:
    """Draw an adapter and a head that change every score; untrained, an adapter does nothing."""
    dice = torch.Generator().manual_seed(seed)
    for weight in adapter_weights(backbone).values():
        weight.normal_(0, 0.3, generator=dice)
    for weight in backbone.head.parameters():
        weight.normal_(0, 1, generator=dice)
    return backbone
