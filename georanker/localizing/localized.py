"""An answer as people read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from georanker.gazetteer import gazetteer
from georanker.localizing.trust import Trust
from georanker.localizing.words import as_text, degrees, from_answer_km, plain_table, show_or_print
from georanker.types import Candidate, Localization, Place

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True, slots=True)
class Localized(Localization):
    """Where a photo was taken: the answer, the candidates behind it, and how far it can be trusted.

    `photo.place` is where the photo itself says that it was taken, if it does; no answer depends on it. `candidates`
    are those that are shown.
    """

    trust: Trust = field(kw_only=True)
    ranked: tuple[Candidate, ...] = field(kw_only=True, repr=False)
    """All candidates, of which `candidates` are the first."""

    @property
    def distances_km(self) -> list[float]:
        """From the answer to each candidate."""
        km: list[float] = from_answer_km([candidate.place for candidate in self.candidates]).tolist()
        return km

    def to_dict(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        truth, trust = self.photo.place, self.trust
        return {
            "photo": self.photo.id,
            **_plain(self.place),
            "score": self.score,
            "trust": {
                "words": str(trust),
                "unlike": trust.unlike,
                "right": trust.right,
                "agreement": trust.agreement,
                "looks": trust.looks,
                "similarity": trust.similarity,
                "explained": trust.explained(),
            },
            "truth": None if truth is None else {"latitude": truth.latitude, "longitude": truth.longitude},
            "error_km": self.error_km,
            "retrieved": {"latitude": self.retrieved.place.latitude, "longitude": self.retrieved.place.longitude},
            "candidates": [
                {
                    "rank": rank,
                    **_plain(candidate.place),
                    "score": candidate.score,
                    "from_answer_km": km,
                    "source": candidate.source,
                    "photo": candidate.photo.id if candidate.photo else None,
                }
                for rank, (candidate, km) in enumerate(zip(self.candidates, self.distances_km, strict=True), 1)
            ],
        }

    def __str__(self) -> str:
        return as_text(self.__rich__())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.photo.id!r}: {self.place}, {self.trust})"

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        head = Text.assemble((self.photo.id, "dim"), "\n", (gazetteer().described([self.place])[0], "bold"))
        head.append(f"  {degrees(self.place)}", "cyan")
        trust = Text(self.trust.explained(), "yellow" if self.trust.unlike else "dim")
        table = plain_table()
        for name in ("", "candidate"):
            table.add_column(name)
        for name in ("latitude, longitude", "km from answer", "score"):
            table.add_column(name, justify="right")
        table.add_column("source")
        places = [candidate.place for candidate in self.candidates]
        rows = zip(self.candidates, gazetteer().described(places), self.distances_km, strict=True)
        for rank, (candidate, words, km) in enumerate(rows, 1):
            figures = (degrees(candidate.place), f"{km:,.0f}", f"{candidate.score:.2f}")
            table.add_row(str(rank), Text(words), *figures, Text(candidate.source))
        truth = []
        if self.photo.place is not None:
            truth.append(Text(f"The photo says {degrees(self.photo.place)}, {self.error_km:,.0f} km from the answer."))
        return Group(head, trust, *truth, table)

    def _repr_html_(self) -> str:
        from georanker.localizing.localized_html import card

        return card(self)

    def show(self) -> None:
        """Display the answer, its photo and a map in a notebook; elsewhere print it."""
        show_or_print(self, str(self))


def _plain(place: Place) -> dict[str, object]:
    names = ("latitude", "longitude", "city", "state", "country", "continent")
    return {name: getattr(place, name) for name in names}
