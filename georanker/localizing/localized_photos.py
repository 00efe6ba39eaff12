"""The answers for several photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

from georanker.gazetteer import ATTRIBUTION, gazetteer
from georanker.localizing.localized import Localized
from georanker.localizing.trust import Trust
from georanker.localizing.words import as_text, degrees, plain_table, show_or_print

if TYPE_CHECKING:
    from rich.console import RenderableType


_CARDS = 20
"""So many a notebook shows: each holds a picture and a map."""


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
        return as_text(self.__rich__())

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
            table.add_column("its own GPS", justify="right", no_wrap=True)
            table.add_column("away", justify="right")
        for answer, words in zip(self, gazetteer().described([answer.place for answer in self]), strict=True):
            own = answer.photo.place
            error = [degrees(own), f"{answer.error_km:,.0f} km"] if own else ["", ""] if truth else []
            sure = Text(str(answer.trust), "yellow" if answer.trust.unlike else "")
            table.add_row(Text(answer.photo.id), Text(words), degrees(answer.place), sure, *error)
        return Group(table, Text(Trust.legend(), "dim"))

    def _repr_html_(self) -> str:
        from georanker.localizing.localized_html import card

        cards = [card(answer) for answer in self[:_CARDS]]
        more = [f"<p>and {len(self) - _CARDS:,} more</p>"] if len(self) > _CARDS else []
        return "\n".join([*cards, *more])

    def show(self) -> None:
        """Show the answers, their photos and maps in a notebook; elsewhere print them."""
        show_or_print(self, str(self))
