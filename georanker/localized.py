"""Answers as people read them."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

import numpy as np
import torch

from georanker.calibration import Trust
from georanker.gazetteer import ATTRIBUTION, gazetteer
from georanker.geodesy import geodesic_km
from georanker.types import Localization, Place

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Localized(Localization):
    """Where a photo was taken: the answer, the candidates behind it, and how far it can be trusted.

    `photo.place` is where the photo itself says that it was taken, if it does; no answer depends on it.
    """

    trust: Trust = field(kw_only=True)

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
        return _as_text(self.__rich__())

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        head = Text.assemble((self.photo.id, "dim"), "\n", (in_words([self.place])[0], "bold"))
        head.append(f"  {degrees(self.place)}", "cyan")
        trust = Text(self.trust.explained(), "yellow" if self.trust.unlike else "dim")
        table = plain_table()
        for name in ("", "candidate"):
            table.add_column(name)
        for name in ("latitude, longitude", "km from answer", "score"):
            table.add_column(name, justify="right")
        table.add_column("source")
        places = [candidate.place for candidate in self.candidates]
        rows = zip(self.candidates, in_words(places), self.distances_km, strict=True)
        for rank, (candidate, words, km) in enumerate(rows, 1):
            source = Text(candidate.source)
            table.add_row(str(rank), words, degrees(candidate.place), f"{km:,.0f}", f"{candidate.score:.2f}", source)
        truth = []
        if self.photo.place is not None:
            truth.append(Text(f"The photo says {degrees(self.photo.place)}, {self.error_km:,.0f} km from the answer."))
        return Group(head, trust, *truth, table)

    def _repr_html_(self) -> str:
        from georanker.localized_html import card

        return card(self)

    def show(self) -> None:
        """Display the answer, its photo and a map in a notebook; elsewhere print it."""
        _show(self, str(self))


class LocalizedPhotos(Sequence[Localized]):
    """The answers for several photos, in their order.

    Args:
        answers: one a photo.
    """

    def __init__(self, answers: Sequence[Localized]) -> None:
        self._answers = tuple(answers)

    def __len__(self) -> int:
        return len(self._answers)

    @overload
    def __getitem__(self, index: int) -> Localized: ...

    @overload
    def __getitem__(self, index: slice) -> LocalizedPhotos: ...

    def __getitem__(self, index: int | slice) -> Localized | LocalizedPhotos:
        """Return one answer, or several."""
        return LocalizedPhotos(self._answers[index]) if isinstance(index, slice) else self._answers[index]

    def __iter__(self) -> Iterator[Localized]:
        return iter(self._answers)

    def to_dict(self) -> dict[str, object]:
        """Return plain values, for JSON."""
        return {"attribution": ATTRIBUTION, "photos": [answer.to_dict() for answer in self]}

    def __str__(self) -> str:
        return _as_text(self.__rich__())

    __repr__ = __str__

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        table = plain_table()
        table.add_column("photo", overflow="fold")
        table.add_column("answer")
        table.add_column("latitude, longitude", justify="right", no_wrap=True)
        table.add_column("how sure")
        truth = any(answer.photo.place for answer in self)
        if truth:
            table.add_column("from its GPS", justify="right")
        for answer, words in zip(self, in_words([answer.place for answer in self]), strict=True):
            error = [] if not truth else ["" if answer.error_km is None else f"{answer.error_km:,.0f} km"]
            sure = Text(str(answer.trust), "yellow" if answer.trust.unlike else "")
            table.add_row(Text(answer.photo.id), words, degrees(answer.place), sure, *error)
        return Group(table, Text(Trust.legend(), "dim"))

    def _repr_html_(self) -> str:
        from georanker.localized_html import card

        return "\n".join(card(answer) for answer in self)

    def show(self) -> None:
        """Show the answers, their photos and maps in a notebook; elsewhere print them."""
        _show(self, str(self))


def from_answer_km(places: Sequence[Place]) -> np.ndarray:
    """Return (K,) geodesics from the first of K places to each."""
    points = torch.tensor([[place.latitude, place.longitude] for place in places], dtype=torch.float64)
    km: np.ndarray = geodesic_km(points[:1].expand_as(points), points).numpy()
    return km


def in_words(places: Sequence[Place]) -> list[str]:
    """Return the names of each place, or which settlement it is near if it has none."""
    far = gazetteer().described(places)
    return [", ".join(place.names) or words for place, words in zip(places, far, strict=True)]


def degrees(place: Place) -> str:
    """Write a point as maps and search boxes take it."""
    return f"{place.latitude:.4f}, {place.longitude:.4f}"


def plain_table() -> Table:
    """Return a table without lines."""
    from rich.table import Table

    return Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))


def _plain(place: Place) -> dict[str, object]:
    names = ("latitude", "longitude", "city", "state", "country", "continent")
    return {name: getattr(place, name) for name in names}


def _as_text(shown: RenderableType) -> str:
    text = io.StringIO()
    _console(text).print(shown)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _console(file: io.StringIO) -> Console:
    from rich.console import Console

    return Console(file=file, width=_WIDTH, color_system=None, highlight=False)


def _show(shown: object, text: str) -> None:
    """Let a notebook display what it can draw; where there is none, print."""
    try:
        from IPython.display import display  # type: ignore[import-not-found]  # only notebooks have it
    except ImportError:
        sys.stdout.write(f"{text}\n")
    else:
        display(shown)
