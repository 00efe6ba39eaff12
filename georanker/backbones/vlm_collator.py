"""Candidate lists become prompts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from georanker.backbones.ranking_collator import RankingCollator
from georanker.prompts.base import Part, Prompt
from georanker.types import Candidate, CandidateList, GeorankerError, Photo
from georanker.vlm.photo_asked import PhotoAsked
from georanker.vlm.photo_reader import PhotoReader
from georanker.vlm.photo_tokens import PhotoTokens
from georanker.vlm.prompt_tokenizer import PromptTokenizer
from georanker.vlm.prompt_tokens import PromptTokens


class VLMCollator(RankingCollator):
    """Adds the tokens of each candidate's prompt, and each distinct photo of the batch once.

    With S the length of the longest prompt and T the tokens of all photos together, its inputs are

    - `ids` (B, K, S): tokens, 0 after the end;
    - `rows` (B, K, S): which of the T features stands there, -1 for text;
    - `lengths` (B, K): 0 in padding, and where a photo could not be read or the prompt is too long;
    - `unread` (B, K): True there;
    - `too_long` (B, K): the length of a prompt that is longer than the model's context, else 0;
    - `pictured` (B, K): whether the candidate has a photo;
    - `counts` (P,): the tokens of each of the P photos;
    - `photo<i>.<name>`: the inputs of the vision tower for photo i.

    Args:
        reader: of photos.
        prompt: what is asked about a candidate.
        context: the most tokens that the model takes.
        reencode_jpeg: quality of a round trip of the candidates' photos through JPEG; None for none.
        reencode_query_jpeg: the same for the photos that are asked about.
    """

    def __init__(
        self,
        reader: PhotoReader,
        prompt: Prompt,
        context: int,
        reencode_jpeg: int | None = None,
        reencode_query_jpeg: int | None = None,
    ) -> None:
        self.reader, self.prompt, self.context = reader, prompt, context
        self.reencode_jpeg, self.reencode_query_jpeg = reencode_jpeg, reencode_query_jpeg
        self.tokenize = PromptTokenizer(reader.processor, reader.photo_id)

    def inputs(self, lists: Sequence[CandidateList]) -> dict[str, Tensor]:
        """Return the prompts and the photos.

        A photo that cannot be read is told in a warning, and its candidate gets no prompt.

        Raises:
            GeorankerError: a photo has no source.
        """
        asked = [[self._asked(found, candidate) for candidate in found.candidates] for found in lists]
        photos = _Photos(self.reader, [photo for row in asked for _, shown in row for photo in shown])
        prompts = [[self._prompt(parts, shown, photos) for parts, shown in row] for row in asked]
        sizes = [len(prompt.ids) for row in prompts for prompt in row if prompt]
        longest = max((size for size in sizes if size <= self.context), default=0)
        shape = (len(lists), max(map(len, lists)))
        ids, rows = torch.zeros(*shape, longest, dtype=torch.long), torch.full((*shape, longest), -1)
        lengths, too_long = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
        unread, pictured = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.bool)
        for b, row in enumerate(prompts):
            for k, prompt in enumerate(row):
                pictured[b, k] = lists[b].candidates[k].photo is not None
                if prompt is None or len(prompt.ids) > self.context:
                    unread[b, k] = True
                    too_long[b, k] = len(prompt.ids) if prompt else 0
                    continue
                lengths[b, k] = len(prompt.ids)
                ids[b, k, : len(prompt.ids)] = torch.tensor(prompt.ids)
                rows[b, k, : len(prompt.ids)] = torch.tensor(prompt.rows)
        counts = torch.tensor([photo.count for photo in photos.read], dtype=torch.long)
        tensors = {
            f"photo{i}.{name}": tensor for i, photo in enumerate(photos.read) for name, tensor in photo.tensors.items()
        }
        told = {"unread": unread, "too_long": too_long, "pictured": pictured}
        return {"ids": ids, "rows": rows, "lengths": lengths, "counts": counts, **told, **tensors}

    def gallery_photos(self, found: CandidateList) -> list[Photo]:
        """Return the photos that the prompts show beside the one that is asked about."""
        parts = [part for candidate in found.candidates for part in self.prompt.parts(found, candidate)]
        return [part for part in parts if isinstance(part, Photo) and part is not found.photo]

    def _asked(self, found: CandidateList, candidate: Candidate) -> tuple[Sequence[Part], list[PhotoAsked]]:
        """Return the parts of a prompt, and how its photos are to be read."""
        if candidate.photo is found.photo and candidate.photo is not None:
            candidate = replace(candidate, photo=replace(candidate.photo))  # told apart by which object it is
        parts = self.prompt.parts(found, candidate)
        shown = [part for part in parts if isinstance(part, Photo)]
        for photo in shown:
            if photo.source is None:  # a setting, and not a broken file
                raise GeorankerError(
                    f"photo {photo.id}: no source holds its bytes; set data.photos, and data.gallery_photos if the "
                    "photos of candidates lie elsewhere"
                )
        return parts, [
            PhotoAsked(
                photo,
                self.reencode_query_jpeg if photo is found.photo else self.reencode_jpeg,
                alone=self.reader.minds_company and len(shown) == 1,
                keep=photo is not found.photo,
            )
            for photo in shown
        ]

    def _prompt(self, parts: Sequence[Part], shown: Sequence[PhotoAsked], photos: _Photos) -> PromptTokens | None:
        """Return the tokens of a prompt, None if one of its photos could not be read."""
        read = [photos.found[photo.key] for photo in shown]
        there = [each for each in read if each is not None]
        return self.tokenize(parts, there) if len(there) == len(read) else None


class _Photos:
    """The distinct photos of a batch, each read once and numbered by its first feature.

    Args:
        reader: of photos.
        asked: all photos of all prompts.
    """

    def __init__(self, reader: PhotoReader, asked: Sequence[PhotoAsked]) -> None:
        distinct: dict[object, PhotoAsked] = {}
        for photo in asked:
            distinct.setdefault(photo.key, photo)
        self.read: list[PhotoTokens] = []
        self.found: dict[object, tuple[int, PhotoTokens] | None] = {}
        """By key the row of a photo's first feature, and its tokens; None if it cannot be read, which was told once."""
        rows = 0
        for key, tokens in zip(distinct, reader.read_all(list(distinct.values())), strict=True):
            if isinstance(tokens, GeorankerError):
                warnings.warn(f"{tokens}; what needs it ranks last", stacklevel=1)
                self.found[key] = None
            else:
                self.found[key] = rows, tokens
                self.read.append(tokens)
                rows += tokens.count
