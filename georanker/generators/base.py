"""The contract of generators: a photo and a question become answers in words, which name places."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from PIL import Image

from georanker.generators.question import Question
from georanker.recorded import Recorded, specification
from georanker.types import GeorankerError

Piece = str | Image.Image
"""A piece of the user's turn: text, or the photo."""


class RefusedError(GeorankerError):
    """The model does not take a question; it may take one about another photo."""


class Generator(Recorded, ABC):
    """A large vision-language model that guesses where photos were taken.

    Args:
        question: what is asked about a photo; None for the house's own.
        samples: answers to each photo.
        temperature: of the sampling; above 0, or all answers would be alike.
        max_tokens: of an answer.
        longest_side: larger photos are reduced to so many pixels; None for none.

    Raises:
        ValueError: a number is out of its range.
    """

    for_speed: ClassVar[Sequence[str]] = ()
    """Arguments that change no answer."""
    at_once: int = 1
    """How many photos may be asked about at the same time, each in a thread."""

    def __init__(
        self,
        question: Question | None = None,
        samples: int = 10,
        temperature: float = 1.2,
        max_tokens: int = 200,
        longest_side: int | None = 512,
    ) -> None:
        for name, number in (("samples", samples), ("max_tokens", max_tokens), ("longest_side", longest_side)):
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, not {number}")
        if not 0 < temperature < 100:
            raise ValueError(f"temperature must be above 0 and below 100, not {temperature:g}")
        self.question = question or Question()
        self.samples, self.temperature, self.max_tokens = samples, temperature, max_tokens
        self.longest_side = longest_side

    @abstractmethod
    def answers(self, pieces: Sequence[Piece], seed: int) -> list[str]:
        """Return `samples` answers to one photo.

        Args:
            pieces: the user's turn, with the photo as `reduced` returns it.
            seed: of the dice, where the model lets them be seeded.

        Raises:
            RefusedError: the model does not take this question.
            GeorankerError: it does not answer at all.
        """

    def reduced(self, image: Image.Image) -> Image.Image:
        """Return a photo whose longer side is no longer than `longest_side`."""
        if self.longest_side is not None and max(image.size) > self.longest_side:
            image = image.copy()
            image.thumbnail((self.longest_side, self.longest_side), Image.Resampling.BICUBIC)
        return image

    def fingerprint(self) -> str:
        """Return what tells this generator's answers from another's: a hash of its settings."""
        try:
            settings: object = specification(self, (*self.for_speed, "question"))
        except GeorankerError:  # built in Python, of parts that no YAML can name
            settings = type(self).__qualname__
        asked = self.question.templates, self.question.similar, self.question.dissimilar
        told = [settings, asked, self.samples, self.temperature, self.max_tokens, self.longest_side]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
