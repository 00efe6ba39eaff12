"""Candidate lists become prompts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from georanker.backbones.ranking_collator import RankingCollator
from georanker.prompts.base import Prompt
from georanker.types import Candidate, CandidateList, GeorankerError, Photo
from georanker.vlm.photo_tokens import PhotoReader, PhotoTokens
from georanker.vlm.tokens import PromptTokenizer, PromptTokens


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
        photos = _Photos(self.reader)
        prompts = [[self._prompt(found, candidate, photos) for candidate in found.candidates] for found in lists]
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

    def _prompt(self, found: CandidateList, candidate: Candidate, photos: _Photos) -> PromptTokens | None:
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
        try:
            read = [
                photos(
                    photo,
                    self.reencode_query_jpeg if photo is found.photo else self.reencode_jpeg,
                    alone=self.reader.minds_company and len(shown) == 1,
                    keep=photo is not found.photo,
                )
                for photo in shown
            ]
        except _UnreadError:
            return None
        return self.tokenize(parts, read)


class _Photos:
    """The distinct photos of a batch, each read once and numbered by its first feature."""

    def __init__(self, reader: PhotoReader) -> None:
        self.reader = reader
        self.read: list[PhotoTokens] = []
        self._found: dict[object, tuple[int, PhotoTokens] | None] = {}
        self._rows = 0

    def __call__(self, photo: Photo, jpeg_quality: int | None, alone: bool, keep: bool) -> tuple[int, PhotoTokens]:
        """Return the row of a photo's first feature, and its tokens.

        Raises:
            _UnreadError: the photo cannot be read, which was told once.
        """
        key = (photo.id, id(photo.source), jpeg_quality, alone)
        if key not in self._found:
            try:
                tokens = self.reader.read(photo, jpeg_quality, alone, keep)
            except GeorankerError as error:
                warnings.warn(f"{error}; what needs it ranks last", stacklevel=1)
                self._found[key] = None
            else:
                self._found[key] = self._rows, tokens
                self.read.append(tokens)
                self._rows += tokens.count
        found = self._found[key]
        if found is None:
            raise _UnreadError
        return found


class _UnreadError(Exception):
    """A photo of a prompt could not be read."""
