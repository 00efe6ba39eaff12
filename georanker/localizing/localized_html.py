"""An answer as a card for notebooks: the photo, the place on a map, and the candidates."""

from __future__ import annotations

import base64
import functools
import html
import io

from PIL import Image, ImageDraw, ImageOps

from georanker.data.blue_marble_tiles import EARTH_CREDIT, earth_picture
from georanker.gazetteer import ATTRIBUTION, gazetteer
from georanker.localizing.localized import Localized
from georanker.localizing.words import degrees
from georanker.report.background import background_picture
from georanker.types import GeorankerError, Place

_MAP = (720, 360)
_EDGE = 8
"""Pixels around the map, so that no dot at its edge is cut."""
_ANSWER, _CANDIDATE, _TRUTH = "#3ddc97", "#f4b942", "#ffffff"
_CELL = "padding:2px 12px 2px 0;text-align:left"


def card(answer: Localized) -> str:
    """Return HTML that holds its pictures and needs no network."""
    words = [html.escape(text) for text in gazetteer().described([candidate.place for candidate in answer.candidates])]
    rows = "".join(
        f"<tr><td style='{_CELL}'>{rank}</td><td style='{_CELL}'>{name}</td>"
        f"<td style='{_CELL}'>{degrees(candidate.place)}</td><td style='{_CELL}'>{km:,.0f} km</td>"
        f"<td style='{_CELL}'>{candidate.score:.2f}</td><td style='{_CELL}'>{html.escape(candidate.source)}</td></tr>"
        for rank, (candidate, name, km) in enumerate(zip(answer.candidates, words, answer.distances_km, strict=True), 1)
    )
    heads = "".join(
        f"<th style='{_CELL}'>{head}</th>"
        for head in ("", "candidate", "latitude, longitude", "from answer", "score", "source")
    )
    truth = ""
    if answer.photo.place is not None:
        truth = f"<div>The photo says {degrees(answer.photo.place)}, {answer.error_km:,.0f} km from the answer.</div>"
    photo = _photo(answer)
    return (
        "<div style='font-family:sans-serif;max-width:900px;margin-bottom:24px'>"
        f"<div><b>{words[0]}</b> ({degrees(answer.place)})</div>"
        f"<div style='margin:4px 0'>{html.escape(answer.trust.explained())}</div>{truth}"
        "<div style='display:flex;flex-wrap:wrap;gap:8px;margin:8px 0'>"
        f"{photo}<img alt='{words[0]} on a map of the world' style='max-width:100%;height:200px' src='{_map(answer)}'>"
        f"</div><div style='opacity:.7;font-size:80%'>{_legend(answer)}</div>"
        f"<table style='border-collapse:collapse'><tr>{heads}</tr>{rows}</table>"
        f"<div style='opacity:.6;font-size:80%'>{html.escape(_credit())}</div></div>"
    )


def _credit() -> str:
    return f"{ATTRIBUTION}. {EARTH_CREDIT}" if earth_picture() else ATTRIBUTION


def _photo(answer: Localized) -> str:
    try:
        image = answer.photo.load()
    except GeorankerError:  # it was there when it was answered, and may be gone by now
        return ""
    image.thumbnail((400, 200))
    return f"<img alt='{html.escape(answer.photo.id, quote=True)}' style='height:200px' src='{_data(image, 'JPEG')}'>"


def _legend(answer: Localized) -> str:
    truth = [] if answer.photo.place is None else [(_TRUTH, "black", "what the photo says")]
    kinds = [(_ANSWER, _ANSWER, "answer"), (_CANDIDATE, _CANDIDATE, "other candidates"), *truth]
    dot = "display:inline-block;width:9px;height:9px;border-radius:50%;margin:0 5px 0 0"
    return "".join(
        f"<span style='margin-right:16px'><span style='{dot};background:{inside};border:2px solid {rim}'></span>"
        f"{what}</span>"
        for rim, inside, what in kinds
    )


def _map(answer: Localized) -> str:
    image = ImageOps.expand(_earth(), _EDGE, "#0b1320")
    draw = ImageDraw.Draw(image)
    for candidate in answer.candidates[:0:-1]:
        _dot(draw, candidate.place, 5, _CANDIDATE, "black")
    _dot(draw, answer.place, 7, _ANSWER, "black")
    if answer.photo.place is not None:
        _dot(draw, answer.photo.place, 6, "black", _TRUTH)
    return _data(image, "JPEG")


def _dot(draw: ImageDraw.ImageDraw, place: Place, radius: int, fill: str | None, outline: str | None) -> None:
    x = _EDGE + (place.longitude + 180) / 360 * _MAP[0]
    y = _EDGE + (90 - place.latitude) / 180 * _MAP[1]
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill, outline, 2)


@functools.cache
def _earth() -> Image.Image:
    return background_picture(earth_picture()).convert("RGB").resize(_MAP, Image.Resampling.LANCZOS)


def _data(image: Image.Image, kind: str) -> str:
    encoded = io.BytesIO()
    image.save(encoded, kind, quality=88)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(encoded.getvalue()).decode()}"
