"""Answers as files: JSON, CSV, GeoJSON for maps, and a page."""

from __future__ import annotations

import csv
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from georanker.files import file_beside, write_text
from georanker.gazetteer import ATTRIBUTION, gazetteer
from georanker.localizing.localized import Localized
from georanker.localizing.localized_page import write_html
from georanker.localizing.localized_photos import LocalizedPhotos
from georanker.types import Candidate, GeorankerError, Place

_DIGITS = 6
"""Of degrees in GeoJSON: a tenth of a metre, as RFC 7946 advises."""
_COLOURS = {"answer": "#1a9850", "candidate": "#f4b942", "truth": "#2b3a55"}


def writer(path: Path) -> Callable[[LocalizedPhotos, Path], None]:
    """Return what writes files of this ending.

    Raises:
        GeorankerError: nothing does, or the path is a folder.
    """
    writers = {".json": write_json, ".csv": write_csv, ".geojson": write_geojson, ".html": write_html}
    if os.path.isdir(path):
        raise GeorankerError(f"{path} is a folder; name a file")
    if path.suffix.lower() not in writers:
        raise GeorankerError(f"{path}: answers are written as {', '.join(writers)}; name a file that ends so")
    try:  # now, and not when all photos are answered
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise GeorankerError(f"{path}: cannot be written ({error.strerror})") from error
    return writers[path.suffix.lower()]


def write_json(answers: LocalizedPhotos, path: Path) -> None:
    """Write all that is known of each answer."""
    _write(path, answers.to_dict())


def write_csv(answers: LocalizedPhotos, path: Path) -> None:
    """Write a row for each photo, without its further candidates."""
    names = ("latitude", "longitude", "city", "state", "country", "continent")
    heads = ["photo", *names, "score", "trust", "unlike", "right", "true_latitude", "true_longitude", "error_km"]
    with file_beside(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(heads)
        for answer in answers:
            truth, trust = answer.photo.place, answer.trust
            table.writerow(
                [
                    answer.photo.id,
                    *(getattr(answer.place, name) for name in names),
                    answer.score,
                    str(trust),
                    str(trust.unlike).lower(),
                    trust.right,
                    *((truth.latitude, truth.longitude) if truth else ("", "")),
                    answer.error_km,
                ]
            )


def write_geojson(answers: LocalizedPhotos, path: Path) -> None:
    """Write points for answers, their candidates and what photos say themselves, and lines from that to the answer.

    RFC 7946: longitude comes first, and a line across the antimeridian is cut there. The colours are those of
    simplestyle, which geojson.io draws.
    """
    features = [feature for answer in answers for feature in _features(answer)]
    _write(path, {"type": "FeatureCollection", "attribution": ATTRIBUTION, "features": features})


def _features(answer: Localized) -> list[dict[str, object]]:
    kinds = ["answer"] + ["candidate"] * (len(answer.candidates) - 1)
    words = gazetteer().described([candidate.place for candidate in answer.candidates])
    rows = zip(kinds, answer.candidates, words, answer.distances_km, strict=True)
    found = [_candidate(answer, rank, *each) for rank, each in enumerate(rows, 1)]
    truth = answer.photo.place
    if truth is not None:
        told = {"photo": answer.photo.id, "kind": "truth", "marker-color": _COLOURS["truth"]}
        found.append(_feature({"type": "Point", "coordinates": _position(truth)}, told))
        line = {"photo": answer.photo.id, "kind": "error", "error_km": answer.error_km, "stroke": _COLOURS["truth"]}
        found.append(_feature(_line(truth, answer.place), line))
    return found


def _candidate(
    answer: Localized, rank: int, kind: str, candidate: Candidate, words: str, km: float
) -> dict[str, object]:
    place = candidate.place
    told = {
        "photo": answer.photo.id,
        "kind": kind,
        "rank": rank,
        "name": words,
        "continent": place.continent,
        "score": candidate.score,
        "source": candidate.source,
        "from_answer_km": km,
        "marker-color": _COLOURS[kind],
        "marker-size": "medium" if kind == "answer" else "small",
    }
    if kind == "answer":
        told |= {"trust": str(answer.trust), "unlike": answer.trust.unlike, "explained": answer.trust.explained()}
    return _feature({"type": "Point", "coordinates": _position(place)}, told)


def _feature(geometry: Mapping[str, object], properties: Mapping[str, object]) -> dict[str, object]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _line(start: Place, end: Place) -> dict[str, object]:
    """Return the short way between two places, in two pieces if it crosses the antimeridian."""
    start = _beside(start, end)
    end = _beside(end, start)
    turn = end.longitude - start.longitude
    if abs(turn) <= 180:
        return {"type": "LineString", "coordinates": [_position(start), _position(end)]}
    edge = math.copysign(180.0, -turn)  # where the short way leaves the map
    share = (edge - start.longitude) / (turn + 2 * edge)
    latitude = round(start.latitude + share * (end.latitude - start.latitude), _DIGITS)
    pieces = [[_position(start), [edge, latitude]], [[-edge, latitude], _position(end)]]
    return {"type": "MultiLineString", "coordinates": pieces}


def _beside(place: Place, other: Place) -> Place:
    """Write a place on the antimeridian with the sign of the side that the other one is on."""
    on_it = abs(place.longitude) == 180
    return replace(place, longitude=math.copysign(180.0, other.longitude)) if on_it else place


def _position(place: Place) -> list[float]:
    return [round(place.longitude, _DIGITS), round(place.latitude, _DIGITS)]


def _write(path: Path, content: object) -> None:
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
