"""The contract of prompts: a photo and one of its candidates become one turn of a conversation."""

from __future__ import annotations

from abc import ABC, abstractmethod

from georanker.recorded import Recorded
from georanker.types import Candidate, CandidateList, Photo

Part = str | Photo
"""A piece of the user's turn: text, or a photo that the model looks at."""


class Prompt(Recorded, ABC):
    """Says what the model reads about a candidate; the model's own chat template adds the rest."""

    @abstractmethod
    def parts(self, found: CandidateList, candidate: Candidate) -> tuple[Part, ...]:
        """Return the user's turn about `candidate`, one of `found`, in order.

        What the candidates of a list share is computed once if it comes first.
        """
