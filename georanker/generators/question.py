"""What a generator is asked about a photo: a few templates, which a YAML can change."""

from __future__ import annotations

import re
from collections.abc import Sequence

from georanker.recorded import Recorded
from georanker.types import Candidate, CandidateList, Photo

Part = str | Photo
_FIELD = re.compile(r"\{(\w+)\}")


class Question(Recorded):
    """Templates in order; by default they ask for one pair of coordinates as JSON, after the photo.

    A part is the photo, `{photo}`, or a text. A text with `{similar}` tells the places of the photo's first retrieved
    candidates, and one with `{dissimilar}` those of its negatives; where there are none, the part is left out.

    Source: arXiv 2405.14702 (G3) shows the model places of similar and of dissimilar photos; arXiv 2505.13731 shows it
    the photo alone. The words are our own.

    Args:
        parts: in order.
        similar: so many of the retrieved places are told.
        dissimilar: so many of the negatives are told.

    Raises:
        ValueError: a template names a field that there is not, or the photo does not stand in a part of its own.

    >>> from georanker.types import Place
    >>> found = CandidateList(Photo("q"), (Candidate(Place(48.85, 2.35)),))
    >>> Question(["{photo}", "Where is it? Like {similar}.", "Not like {dissimilar}."]).asked(found.photo, found)
    (Photo(id='q', place=None), 'Where is it? Like (48.85, 2.35).')
    """

    def __init__(
        self,
        parts: Sequence[str] = (
            "{photo}",
            "Where on Earth was this photo taken? Look at the landscape, the plants, the buildings, the writing, the "
            "roads and the light, and decide on one point.",
            "Photos that look like it were taken at {similar}.",
            "Photos that look different were taken at {dissimilar}.",
            'Answer with your best guess, however unsure you are, and with nothing but this JSON: {"latitude": degrees '
            'north, "longitude": degrees east}, both as decimal numbers.',
        ),
        similar: int = 5,
        dissimilar: int = 5,
    ) -> None:
        for name, number in (("similar", similar), ("dissimilar", dissimilar)):
            if number < 0:
                raise ValueError(f"{name} must be at least 0, not {number}")
        self.templates, self.similar, self.dissimilar = tuple(parts), similar, dissimilar
        if self.templates.count("{photo}") != 1:
            raise ValueError(f"one part of a question must be '{{photo}}', not {self.templates.count('{photo}')}")
        for template in self.templates:
            for name in _FIELD.findall(template) if template != "{photo}" else ():
                if name not in ("similar", "dissimilar"):
                    raise ValueError(f"{{{name}}} in {template!r} is not a field of a question")

    @property
    def tells_places(self) -> bool:
        """Whether what is asked depends on a photo's candidates."""
        told = {"similar": self.similar, "dissimilar": self.dissimilar}
        return any(count and f"{{{name}}}" in template for template in self.templates for name, count in told.items())

    def asked(self, photo: Photo, found: CandidateList | None = None) -> tuple[Part, ...]:
        """Return the user's turn.

        Args:
            photo: that is asked about.
            found: its candidates, if there are any.
        """
        retrieved = [each for each in found.candidates if each.source != "generated"] if found else []
        told = {
            "similar": _told(retrieved[: self.similar]),
            "dissimilar": _told(found.negatives[: self.dissimilar] if found else ()),
        }
        parts: list[Part] = []
        for template in self.templates:
            if template == "{photo}":
                parts.append(photo)
            elif all(told[name] for name in _FIELD.findall(template)):
                parts.append(_FIELD.sub(lambda field: told[field.group(1)], template))
        return tuple(parts)


def _told(candidates: Sequence[Candidate]) -> str:
    return ", ".join(f"({each.place.latitude:g}, {each.place.longitude:g})" for each in candidates)
