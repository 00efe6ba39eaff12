"""Answers as a page with a map and the photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from georanker.data.blue_marble_tiles import EARTH_CREDIT, earth_picture
from georanker.localizing.localized_photos import LocalizedPhotos
from georanker.types import Candidate, GeorankerError, PhotoSource, Place


def write_html(answers: LocalizedPhotos, path: Path) -> None:
    """Write a page of all that was ranked, which needs no network."""
    from georanker.report.html_report import write_report
    from georanker.report.predictions import Predictions

    candidates = [candidate for answer in answers for candidate in answer.ranked]
    places = [candidate.place for candidate in candidates]
    shown = Predictions(
        photo_ids=[answer.photo.id for answer in answers],
        places=_degrees([answer.place for answer in answers]),
        truths=_degrees([answer.photo.place for answer in answers]),
        retrieved=_degrees([answer.retrieved.place for answer in answers]),
        starts=np.cumsum([0, *(len(answer.ranked) for answer in answers)], dtype=np.int64),
        candidate_places=_degrees(places),
        candidate_scores=np.array([candidate.score for candidate in candidates], np.float32),
        candidate_ids=pa.array([each.photo.id if each.photo else None for each in candidates], pa.string()),
        photos=[answer.photo for answer in answers],
        notes=[str(answer.trust) for answer in answers],
        names={(place.latitude, place.longitude): ", ".join(place.names) for place in places if place.city},
    )
    background = earth_picture()
    write_report(
        shown,
        path,
        gallery_source=_gallery_source(candidates),
        background=background,
        credit=EARTH_CREDIT if background else "",
    )


def _degrees(places: Sequence[Place | None]) -> np.ndarray:
    """Return (N, 2) degrees, NaN for None."""
    points = [(place.latitude, place.longitude) if place else (np.nan, np.nan) for place in places]
    return np.array(points, np.float64).reshape(-1, 2)


def _gallery_source(candidates: Sequence[Candidate]) -> PhotoSource | None:
    """Return what holds the candidates' photos; None if they are not at hand, which costs the page its thumbnails."""
    photo = next((each.photo for each in candidates if each.photo and each.photo.source), None)
    if photo is None or photo.source is None:
        return None
    try:
        photo.source.read(photo.id)
    except GeorankerError:
        return None
    return photo.source
