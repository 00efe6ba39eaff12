"""Answers in words become places."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from georanker.types import LIMITS, Place

_DIGITS = r"\d{1,3}(?:\.\d{1,20}|(?!,\d))"
_MARKS = str.maketrans({"\u2212": "-", "\u2013": "-", "º": "°", "′": "'", "’": "'", "″": '"', "”": '"', "*": " "})
# What stands before or after a number that is part of something else: 1234, 1.2.3, 1e5, 48,8566, 40-45, $5, 80 %, 3 km.
# Each gap has an end, so that no answer takes long to read.
_ANGLE = re.compile(
    rf"""(?<![\w.$€£\-+]) (?: (?P<before>(?i:north|south|east|west)|[NSEW])\b\.?:?\s{{0,2}} | (?P<tight>[NSEW])(?=\d) )?
    (?P<sign>[-+]?) (?P<degrees>{_DIGITS}) (?![\d%€]|\.\d|[eE][-+]?\d|\s{{0,2}}[-/]\s{{0,2}}\d|\s{{0,2}}(?:%|km|mi|m)\b)
    (?: \s{{0,2}} (?:°|degrees?\b|deg\b)
        (?: \s{{0,2}} (?P<minutes>{_DIGITS}) \s{{0,2}} (?:'(?!')|min(?:utes)?\b) )?
        (?: \s{{0,2}} (?P<seconds>{_DIGITS}) \s{{0,2}} (?:"|''|sec(?:onds)?\b) )?
        (?! \s{{0,2}} \d )
    )? (?(before)|(?(tight)|(?: \s{{0,2}} (?P<after>(?i:north|south|east|west)\b | [NSEW]\b) )?))""",
    re.VERBOSE,
)
_LABEL = re.compile(r"\b(lat|lon|lng)(?:g|itude|gitude)?\b", re.IGNORECASE)
_CLOSING = re.compile(r"</\w{1,20}>")
_LATITUDE, _LONGITUDE = 0, 1
_FAR = 60  # letters between the two numbers of a place, or between a number and its name


def place_in_words(answer: str) -> Place | None:
    """Return the place that an answer ends with; None if it names none, or one cannot be sure of it.

    Numbers count that are named latitude and longitude, or have N or S and E or W, in decimals or in minutes and
    seconds; then pairs of decimal numbers. What is not on the Earth is no place, and neither is (0, 0): models say so
    where they do not know.

    >>> place_in_words('{"latitude": -13.16, "longitude": -72.54}')
    Place(latitude=-13.16, longitude=-72.54, city='', state='', country='', continent='')
    >>> place_in_words("Perhaps 48°51'36\\"N, 2.35° W.").latitude
    48.86
    >>> place_in_words("I cannot tell.") is None
    True
    """
    answer = _CLOSING.sub(" ", answer.translate(_MARKS))
    angles = list(_angles(answer))
    for latitude, longitude in reversed(list(_named(angles))):
        found = _place((latitude, longitude))
        if found is not None:
            return found
    pairs = [
        (first, second)
        for first, second in pairwise(angles)
        if first.axis is second.axis is None
        and first.decimals
        and second.decimals
        and re.fullmatch(r"\s{0,3}[,;]\s{0,3}", answer[first.end : second.start])
    ]
    # Others may be how sure a model is: 0.7, 0.8.
    for pair in reversed([each for each in pairs if min(angle.decimals for angle in each) > 1] or pairs):
        found = _place(pair[::-1] if pair[0].swapped else pair)
        if found is not None:
            return found
    return None


@dataclass(frozen=True)
class _Angle:
    """A number of degrees in a text."""

    start: int
    end: int
    value: float
    axis: int | None
    """Whether it is a latitude or a longitude, if the text says so."""
    decimals: int
    swapped: bool
    """Whether the text says before it that the longitude comes first."""


def _angles(answer: str) -> Iterator[_Angle]:
    """Yield the angles of a text; those left out of which one cannot be sure."""
    before = 0
    cut = answer.count("{") > answer.count("}")  # an answer that was cut short may end within a number
    for found in _ANGLE.finditer(answer):
        gap, before = answer[max(before, found.start() - _FAR) : found.start()], found.end()
        sides = {side.upper()[0] for side in found.group("before", "tight", "after") if side}
        labels = [label.lower() for label in _LABEL.findall(gap)]
        axes = {_LATITUDE if side in "NS" else _LONGITUDE for side in sides}
        if len(labels) == 1:
            axes.add(_LATITUDE if labels[0] == "lat" else _LONGITUDE)
        sign = found["sign"]
        if not sign and re.search(r"-\s{1,3}$", gap) and not re.search(r"(?:^|\n)\s{0,3}-\s{1,3}$", gap):
            sign = "-" if re.search(r":\s{0,3}-\s{1,3}$", gap) and labels else "?"
        ends = cut and found.end() == len(answer.rstrip())
        if len(axes) > 1 or len(sides) > 1 or sign == "?" or ends:
            continue
        value = float(found["degrees"]) + float(found["minutes"] or 0) / 60 + float(found["seconds"] or 0) / 3600
        yield _Angle(
            found.start(),
            found.end(),
            -value if sign == "-" or sides & {"S", "W"} else value,
            axes.pop() if axes else None,
            len(found["degrees"].partition(".")[2]),
            len(labels) > 1 and labels[-2] != "lat" and labels[-1] == "lat",
        )


def _named(angles: Sequence[_Angle]) -> Iterator[tuple[_Angle, _Angle]]:
    """Yield latitudes with longitudes next to them; each angle belongs to one place."""
    taken: _Angle | None = None
    for first, second in pairwise(angles):
        if first is taken or second.start - first.end > _FAR:
            continue
        if (first.axis, second.axis) in ((_LATITUDE, _LONGITUDE), (_LONGITUDE, _LATITUDE)):
            taken = second
            yield (first, second) if first.axis == _LATITUDE else (second, first)


def _place(angles: Sequence[_Angle]) -> Place | None:
    point = angles[0].value, angles[1].value
    on_earth = all(abs(each) <= limit for each, limit in zip(point, LIMITS.values(), strict=True))
    return Place(*point) if on_earth and point != (0.0, 0.0) else None
