"""What the page's script reads: the answers in compact columns, with names, cases and small photos."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from georanker.gazetteer import gazetteer
from georanker.metrics.inputs import FARTHEST_KM
from georanker.report.predictions import Predictions
from georanker.report.thumbnails import Thumbnails
from georanker.types import PhotoSource

CANDIDATES_SHOWN = 8
"""The rest of a list is told in numbers; the page of 10,000 photos would otherwise not stay below 15 MB."""
CASES = 6
EXAMPLES = 8
LISTED = 200
"""Answers at hand are all listed, up to so many."""
_CURVE_POINTS = 240


def page_data(
    predictions: Predictions,
    thumbnails: Thumbnails,
    photo_source: PhotoSource | None,
    gallery_source: PhotoSource | None,
    shown: int,
) -> dict[str, Any]:
    """Return the columns of the page; rows count the photos that it shows.

    Photos are read for the examples, the worst and the best first, with their candidates; then for the others, evenly
    spread, while the budget of `thumbnails` lasts.

    Args:
        predictions: the answers.
        thumbnails: makes the small photos, and keeps them.
        photo_source: holds the photos that were asked about, if they do not bring their own bytes.
        gallery_source: holds the candidates' photos.
        shown: how many photos to show, evenly spread over the file; the worst and the best are always among them.
    """
    cases = chosen(predictions)
    spread = np.linspace(0, len(predictions) - 1, min(shown, len(predictions))).astype(int)
    rows = np.unique(np.concatenate([spread, *(each.astype(int) for each in cases.values())]))
    at = {name: np.searchsorted(rows, each).tolist() for name, each in cases.items()}

    lengths = np.diff(predictions.starts)[rows]
    width = min(CANDIDATES_SHOWN, int(lengths.max()))
    items = predictions.starts[rows][:, None] + np.arange(width)
    real = np.arange(width) < lengths[:, None]
    items = np.where(real, items, 0)
    candidates = np.where(real[..., None], predictions.candidate_places[items], np.nan)
    names = _Names(predictions.names)

    photos = np.full(len(rows), -1)
    candidate_photos: dict[int, list[int]] = {}
    first = dict.fromkeys(row for found in at.values() for row in found)
    for row in [*first, *np.random.default_rng(0).permutation(len(rows)).tolist()]:  # what fits is spread evenly
        own = predictions.photos[rows[row]] if predictions.photos else None
        source = own.source if own else photo_source
        photos[row] = thumbnails.add(predictions.photo_ids[rows[row]], source)
        if row in first and row not in candidate_photos:
            ids = predictions.candidate_ids.take(items[row, real[row]]).to_pylist()
            candidate_photos[row] = [thumbnails.add(photo_id, gallery_source) for photo_id in ids]

    return {
        "ids": [predictions.photo_ids[row] for row in rows],
        "notes": [predictions.notes[row] for row in rows] if predictions.notes else [],
        "answers": _floats(predictions.places[rows]),
        "truths": _floats(predictions.truths[rows]),
        "errors": _floats(predictions.errors_km[rows]),
        "answer_names": names.add(predictions.places[rows]),
        "truth_names": names.add(predictions.truths[rows]),
        "photos": _integers(photos),
        "lengths": _integers(lengths),
        "nearest": _integers(predictions.nearest[rows] - predictions.starts[rows]),
        "nearest_km": _floats(predictions.candidates_km[predictions.nearest[rows]]),
        "total": len(predictions),
        "width": width,
        "candidates": _floats(candidates),
        "candidate_scores": _floats(np.where(real, predictions.candidate_scores[items], np.nan)),
        "candidates_km": _floats(np.where(real, predictions.candidates_km[items], np.nan)),
        "candidate_names": names.add(candidates.reshape(-1, 2)),
        "candidate_photos": candidate_photos,
        "retrieved": _integers(predictions.retrieved_ranks[rows]),
        "names": names.all,
        "thumbnails": thumbnails.uris,
        "curve": curve(predictions),
        **at,
    }


def chosen(predictions: Predictions) -> dict[str, np.ndarray]:
    """Return which photos to show as examples, worst and best; examples are spread evenly from good to bad.

    Without a known truth there is no worst and no best, and the examples are spread over the file. Photos that bring
    their own bytes were asked about one by one, and stand there in their order.
    """
    rows = np.flatnonzero(predictions.known)
    order = rows[np.argsort(predictions.errors_km[rows], kind="stable")]
    cases = {"best": order[: min(CASES, (len(order) + 1) // 2)], "worst": order[::-1][: min(CASES, len(order) // 2)]}
    if predictions.photos:
        return {"examples": np.arange(min(LISTED, len(predictions))), **cases}
    if not len(rows):
        return {"examples": np.linspace(0, len(predictions) - 1, min(EXAMPLES, len(predictions))).astype(int), **cases}
    middle = (np.arange(min(EXAMPLES, len(order))) + 0.5) / min(EXAMPLES, len(order)) * len(order)
    return {"examples": order[middle.astype(int)], **cases}


def curve(predictions: Predictions) -> dict[str, list[float]] | None:
    """Return the share of photos with an error below each of many distances, by whose answers they are.

    Returns:
        `km`, evenly spaced in the logarithm from 1 km to the farthest there is, and the shares of `retrieved`,
        `ranked` and `oracle`; None if no truth is known.
    """
    if not predictions.known.any():
        return None
    km = np.geomspace(1.0, FARTHEST_KM, _CURVE_POINTS)
    found = {"km": km.round(3).tolist()}
    for answer, errors in predictions.errors_by_answer().items():
        below = np.searchsorted(np.sort(errors[predictions.known]), found["km"], side="left")
        found[answer] = (below / predictions.known.sum()).round(5).tolist()
    return found


class _Names:
    """What places lie near, in the words of the gazetteer; each is kept once.

    Args:
        own: the names of places that bring their own, by latitude and longitude.
    """

    def __init__(self, own: Mapping[tuple[float, float], str]) -> None:
        self.all: list[str] = [""]
        self._numbers = {"": 0}
        self._own = own

    def add(self, points: np.ndarray) -> dict[str, dict[str, str]]:
        """Return the numbers of the names near (N, 2) degrees, 0 where NaN, and how far these are; see `near`."""
        names, km = gazetteer().near(points)
        for row, point in enumerate(map(tuple, points.tolist()) if self._own else ()):
            if point in self._own:
                names[row], km[row] = self._own[point], 0
        for name in names:
            if name not in self._numbers:
                self._numbers[name] = len(self.all)
                self.all.append(name)
        return {
            "settlements": _integers(np.array([self._numbers[name] for name in names])),
            "km": {"i2": base64.b64encode(km.astype("<i2").tobytes()).decode()},
        }


def _floats(values: np.ndarray) -> dict[str, str]:
    """Pack numbers as base64 of float32, which holds a degree to a metre; the page unpacks what has the key `f4`."""
    return {"f4": base64.b64encode(values.astype("<f4").tobytes()).decode()}


def _integers(values: np.ndarray) -> dict[str, str]:
    return {"i4": base64.b64encode(values.astype("<i4").tobytes()).decode()}
