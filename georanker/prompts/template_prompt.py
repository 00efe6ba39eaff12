"""A prompt that is data: a few templates, which a YAML can change."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from georanker.prompts.base import Part, Prompt
from georanker.types import Candidate, CandidateList, Place

_FIELD = re.compile(r"\{(\w*)\}")
_MEANT = re.compile(r"\{(\s*\w[^{}]*|)\}")  # what looks like a field: formats and attributes would be read as text
_PLACE_FIELDS = ("latitude", "longitude", "names")
_PHOTOS = ("query_photo", "candidate_photo")


class TemplatePrompt(Prompt):
    """Templates filled in for each candidate; by default the paper's, in its order.

    A part is a photo, `{query_photo}` or `{candidate_photo}`, or a text with the fields `{latitude}`, `{longitude}`
    and `{names}` of the candidate, and `{negatives}`. A part about something that is not there is left out: the
    candidate's photo, or the negatives. Unknown names leave their field empty.

    Source: the prompt of GeoRanker (arXiv 2505.13731), as its public code writes it.

    Args:
        parts: in order.
        guessed_parts: for a candidate that a language model has guessed, whose source is generated; None for the same.
        negative: one of the `{negatives}`, with the fields of a place.
        separator: between two negatives.

    Raises:
        ValueError: a template names a field that there is not, or a photo inside a text.

    >>> from georanker.types import Photo
    >>> found = CandidateList(Photo("q"), (Candidate(Place(48.85, 2.35, city="Paris")),))
    >>> prompt = TemplatePrompt(["{query_photo}", "Is it at {latitude}, {longitude}, {names}?"])
    >>> prompt.parts(found, found.candidates[0])
    (Photo(id='q', place=None), 'Is it at 48.85, 2.35, Paris?')
    """

    def __init__(
        self,
        parts: Sequence[str] = (
            "{query_photo}",
            "How far is this place from latitude: {latitude}, longitude: {longitude}, {names}?",
            "{candidate_photo}",
            "Negative examples: {negatives}",
        ),
        guessed_parts: Sequence[str] | None = (
            "{query_photo}",
            "How far is this place from latitude: {latitude}, longitude: {longitude}?",
            "Negative examples: {negatives}",
        ),
        negative: str = "latitude: {latitude}, longitude: {longitude}, {names}",
        separator: str = "; ",
    ) -> None:
        self.templates = tuple(parts)
        self.guessed_templates = self.templates if guessed_parts is None else tuple(guessed_parts)
        self.negative = negative
        self.separator = separator
        for template in (*self.templates, *self.guessed_templates):
            if template not in (f"{{{photo}}}" for photo in _PHOTOS):
                _check(template, (*_PLACE_FIELDS, "negatives"))
        _check(negative, _PLACE_FIELDS)

    def parts(self, found: CandidateList, candidate: Candidate) -> tuple[Part, ...]:
        """Return the filled templates."""
        guessed = candidate.source == "generated"
        fields = _fields(candidate.place)
        fields["negatives"] = self.separator.join(_filled(self.negative, _fields(n.place)) for n in found.negatives)
        photos = {"{query_photo}": found.photo, "{candidate_photo}": candidate.photo}
        parts: list[Part] = []
        for template in self.guessed_templates if guessed else self.templates:
            if template in photos:
                photo = photos[template]
                parts += [photo] if photo is not None else []
            elif found.negatives or "{negatives}" not in template:
                parts.append(_filled(template, fields))
        return tuple(parts)


def _fields(place: Place) -> dict[str, str]:
    # As Python writes a float, in full: the public code formats coordinates so.
    return {"latitude": str(place.latitude), "longitude": str(place.longitude), "names": " ".join(place.names)}


def _filled(template: str, fields: dict[str, str]) -> str:
    # Not str.format, whose fields can reach into objects.
    return _FIELD.sub(lambda found: fields[found.group(1)], template)


def _check(template: str, allowed: Sequence[str]) -> None:
    for name in _MEANT.findall(template):
        if name in _PHOTOS:
            raise ValueError(f"{{{name}}} must be a part of its own, not inside {template!r}")
        if name not in allowed:
            near = get_close_matches(re.sub(r"\W.*", "", name.strip()), allowed, 1)
            hint = f"did you mean {{{near[0]}}}?" if near else f"there are {', '.join(allowed)}"
            raise ValueError(f"{{{name}}} in {template!r} is not a field of a prompt; {hint}")
