"""How answers are put into words and tables."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from georanker.geodesy import geodesic_km
from georanker.types import Place

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_WIDTH = 100


def from_answer_km(places: Sequence[Place]) -> np.ndarray:
    """Return (K,) geodesics from the first of K places to each."""
    points = torch.tensor([[place.latitude, place.longitude] for place in places], dtype=torch.float64)
    km: np.ndarray = geodesic_km(points[:1].expand_as(points), points).numpy()
    return km


def degrees(place: Place) -> str:
    """Write a point as maps and search boxes take it."""
    return f"{place.latitude:.4f}, {place.longitude:.4f}"


def plain_table() -> Table:
    """Return a table without lines."""
    from rich.table import Table

    return Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))


def as_text(shown: RenderableType) -> str:
    """Return what rich would print, without colours and trailing spaces."""
    from rich.console import Console

    text = io.StringIO()
    Console(file=text, width=_WIDTH, color_system=None, highlight=False).print(shown)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def show_or_print(shown: object, text: str) -> None:
    """Let a notebook display what it can draw; where there is none, print."""
    try:
        from IPython.display import display  # type: ignore[import-not-found]  # only notebooks have it
    except ImportError:
        sys.stdout.write(f"{text}\n")
    else:
        display(shown)
