"""The file of answers: parquet, one row a photo."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor, nn

from georanker.ranker import UNREAD
from georanker.recorded import Recorded, specification
from georanker.types import GeorankerError, Localization

FORMAT_VERSION = 1

_POINT = {"latitude": pa.float64(), "longitude": pa.float64()}
_CANDIDATE = pa.struct({**_POINT, "score": pa.float32(), "photo_id": pa.string(), "source": pa.string()})
SCHEMA = pa.schema(
    {
        "photo_id": pa.string(),
        **_POINT,
        "score": pa.float32(),
        "retrieved_latitude": pa.float64(),
        "retrieved_longitude": pa.float64(),
        "true_latitude": pa.float64(),
        "true_longitude": pa.float64(),
        "error_km": pa.float64(),
        "candidates": pa.list_(_CANDIDATE),
    }
)


def row(answer: Localization) -> dict[str, object]:
    """Return the row of an answer."""
    truth = answer.photo.place
    return {
        "photo_id": answer.photo.id,
        "latitude": answer.place.latitude,
        "longitude": answer.place.longitude,
        "score": _told(answer.score),
        "retrieved_latitude": answer.retrieved.place.latitude,
        "retrieved_longitude": answer.retrieved.place.longitude,
        "true_latitude": truth.latitude if truth else None,
        "true_longitude": truth.longitude if truth else None,
        "error_km": answer.error_km,
        "candidates": [
            {
                "latitude": candidate.place.latitude,
                "longitude": candidate.place.longitude,
                "score": _told(candidate.score),
                "photo_id": candidate.photo.id if candidate.photo else None,
                "source": candidate.source,
            }
            for candidate in answer.candidates
        ],
    }


def _told(score: float) -> float | None:
    """Return a score, None for that of a candidate that could not be read."""
    return None if score == UNREAD else score


def fingerprint(module: nn.Module, weights: Mapping[str, Any], precision: str) -> str:
    """Return what tells a ranker's answers from another's: a hash of its class, its backbone's settings and weights.

    What only makes it faster is left out, and so is where a model lies.

    Args:
        module: the ranker.
        weights: its whole state_dict.
        precision: of the trainer.
    """
    digest = hashlib.sha256(f"{type(module).__module__}.{type(module).__qualname__} {precision}".encode())
    backbone = getattr(module, "backbone", None)
    if isinstance(backbone, Recorded):
        try:
            settings: object = specification(backbone, getattr(backbone, "for_speed", ()))
        except GeorankerError:  # built in Python, of parts that no YAML can name: its weights must do
            settings = type(backbone).__qualname__
        digest.update(json.dumps([settings, getattr(backbone, "built_of", "")], sort_keys=True).encode())
    for name, value in sorted(weights.items()):
        if isinstance(value, Tensor):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        else:
            digest.update(f"{name} {value!r}".encode())
    return digest.hexdigest()[:16]
