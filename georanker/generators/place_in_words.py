"""Answers in words become places."""

from __future__ import annotations

import re
from collections.abc import Iterator

from georanker.types import LIMITS, Place

# Each form can be matched in one way only, and each gap has an end, so that no answer takes long to read.
_NUMBER = r"(?<![\d.])([-+\u2212]?\d{1,3}(?:\.\d{1,20})?)(?!\.?\d)"  # 1234 and 1.2.3 are no degrees
_GAP = r"\s{0,3}"
_DEGREES = rf"{_NUMBER}{_GAP}(?:°|º|degrees?)?"
_SAID = r"[\s\"'*:=~≈]{0,20}(?:(?:is|of|about|approximately)[\s\"'*:=~≈]{0,20}){0,3}"
_LATITUDE = re.compile(rf"\blat(?:itude)?\b{_SAID}{_DEGREES}{_GAP}([NS]\b)?", re.IGNORECASE)
_LONGITUDE = re.compile(rf"\b(?:long?(?:itude)?|lng)\b{_SAID}{_DEGREES}{_GAP}([EW]\b)?", re.IGNORECASE)
_COMPASS = re.compile(rf"{_DEGREES}{_GAP}([NS])\b{_GAP}[,;/ ]{_GAP}{_DEGREES}{_GAP}([EW])\b", re.IGNORECASE)
_PAIR = re.compile(rf"{_NUMBER}{_GAP}°?{_GAP}[,;]{_GAP}{_NUMBER}")


def place_in_words(answer: str) -> Place | None:
    """Return the place that an answer ends with; None if it names none.

    Numbers that are named latitude and longitude come first, then numbers with N or S and E or W, then a pair of which
    one has decimals. What is not on the Earth is no place, and neither is (0, 0): models say so where they do not know.

    >>> place_in_words('{"latitude": -13.16, "longitude": -72.54}')
    Place(latitude=-13.16, longitude=-72.54, city='', state='', country='', continent='')
    >>> place_in_words("Perhaps 48.86° N, 2.35° W.").longitude
    -2.35
    >>> place_in_words("I cannot tell.") is None
    True
    """
    for found in _pairs(answer):
        if found != (0.0, 0.0) and all(abs(each) <= limit for each, limit in zip(found, LIMITS.values(), strict=True)):
            return Place(*found)
    return None


def _pairs(answer: str) -> Iterator[tuple[float, float]]:
    """Yield latitudes and longitudes, the most certain first, of the same form the last first."""
    for latitude, longitude in zip(
        reversed(_LATITUDE.findall(answer)), reversed(_LONGITUDE.findall(answer)), strict=False
    ):
        yield _number(*latitude), _number(*longitude)
    for north, side, east, other in reversed(_COMPASS.findall(answer)):
        yield _number(north, side), _number(east, other)
    for north, east in reversed(_PAIR.findall(answer)):
        if "." in north or "." in east:
            yield _number(north), _number(east)


def _number(text: str, side: str = "") -> float:
    number = float(text.replace("\u2212", "-"))
    return -abs(number) if side.upper() in ("S", "W") else number
