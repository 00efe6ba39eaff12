"""How far an answer can be trusted, in figures and in words."""

from __future__ import annotations

from dataclasses import dataclass

NEAR_KM = 200.0
"""Candidates nearer than this to the answer agree with it, and an answer nearer than this to the truth is right."""
ODD = 0.01
"""A photo odder than all but this share of the known ones is unlike them."""
UNUSUAL = 0.05


@dataclass(frozen=True, slots=True)
class Trust:
    """How far an answer can be trusted; None is what could not be measured.

    A share of the photos that are known, such as 0.3, says: 30 % of them are at least as odd as this one.
    """

    agreement: float
    """The share of the ranker's softmaxed scores that lies within 200 km of the answer."""
    right: float | None = None
    """Of held-out photos with as much agreement, the share whose answer lay within 200 km of the truth."""
    looks: float | None = None
    """The share of the gallery's photos that look at least as odd: colours, contrasts, edges, layout."""
    similarity: float | None = None
    """The share of held-out photos whose most similar photo of the gallery is no more similar than this one's."""

    @property
    def familiar(self) -> float | None:
        """The smaller of the two shares: how usual the photo is among those that the model knows."""
        known = [share for share in (self.looks, self.similarity) if share is not None]
        return min(known, default=None)

    @property
    def unlike(self) -> bool:
        """Whether the photo is unlike those that the model knows, which makes its answer a guess."""
        return self.familiar is not None and self.familiar < ODD

    def __str__(self) -> str:
        familiar = self.familiar
        if familiar is not None and self.unlike:
            return f"a guess: odder than {_all_but(familiar)}"
        if self.right is None:
            return "not measured"
        unusual = familiar is not None and familiar < UNUSUAL
        return f"{_share(self.right)} within {NEAR_KM:g} km{', unusual photo' if unusual else ''}"

    @staticmethod
    def legend() -> str:
        """Return what the words of many answers mean."""
        return (
            f"How sure: the share of held-out photos with candidates that agreed as much whose answer lay within "
            f"{NEAR_KM:g} km. A guess: the photo is unlike those that the model knows, so the answer says little."
        )

    def explained(self) -> str:
        """Return what the word means, in a sentence or two."""
        familiar = self.familiar
        if familiar is None:
            seen = "Whether the photo is like those that the model knows was not measured."
        elif self.unlike:
            by = "looks odder" if familiar == self.looks else "is less similar to the gallery"
            return (
                f"This photo is unlike those that the model was trained on: it {by} than {_all_but(familiar)} of them. "
                "Take the answer as a guess."
            )
        else:
            seen = f"Of the photos that the model knows, {_share(familiar)} are at least as odd as this one."
        if self.right is None:
            return f"{seen} How often such answers are right was not measured."
        return (
            f"{seen} Held-out photos whose candidates agreed as much as here ({self.agreement:.0%}) were answered "
            f"within {NEAR_KM:g} km in {_share(self.right)} of cases."
        )


def _share(share: float) -> str:
    """Write a share: whole percents, tenths at both ends, and 0 % and 100 % only where none or all are meant."""
    if share in (0.0, 1.0) or 0.01 <= share <= 0.99:
        return f"{share:.0%}"
    return "under 0.1%" if share < 0.001 else "over 99.9%" if share > 0.999 else f"{share:.1%}"


def _all_but(familiar: float) -> str:
    return "all" if familiar == 0 else _share(min(1 - familiar, 0.999))
