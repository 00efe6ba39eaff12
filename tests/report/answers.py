"""Files of answers made up for tests and benchmarks, and the photos that go with them."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from georanker.answers import SCHEMA
from georanker.types import GeorankerError

NAUGHTY = "<script>broken()</script><img src=x onerror=broken()>"


def some_answers(photos: int, candidates: int = 12, seed: int = 0) -> list[dict[str, Any]]:
    """Return rows of `SCHEMA`: each photo's candidates lie 0.01 to 100 degrees from its truth, best score first."""
    random = np.random.default_rng(seed)
    truths = np.stack([np.rad2deg(np.arcsin(random.uniform(-1, 1, photos))), random.uniform(-180, 180, photos)], axis=1)
    steps = random.normal(size=(photos, candidates, 2)) * 10 ** random.uniform(-2, 2, (photos, candidates, 1))
    places = truths[:, None] + steps
    places[..., 0] = places[..., 0].clip(-90, 90)
    places[..., 1] = (places[..., 1] + 180) % 360 - 180
    scores = -np.sort(random.normal(size=(photos, candidates)), axis=1)
    first = random.integers(0, candidates, photos)
    return [
        {
            "photo_id": f"query/{photo}.jpg",
            "latitude": places[photo, 0, 0],
            "longitude": places[photo, 0, 1],
            "score": scores[photo, 0],
            "retrieved_latitude": places[photo, first[photo], 0],
            "retrieved_longitude": places[photo, first[photo], 1],
            "true_latitude": truths[photo, 0],
            "true_longitude": truths[photo, 1],
            "error_km": None,
            "candidates": [
                {
                    "latitude": places[photo, rank, 0],
                    "longitude": places[photo, rank, 1],
                    "score": scores[photo, rank],
                    "photo_id": f"gallery/{photo * candidates + rank}.jpg",
                    "source": "retrieved",
                }
                for rank in range(candidates)
            ],
        }
        for photo in range(photos)
    ]


def written(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Write rows as PredictionWriter does."""
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], SCHEMA), path)
    return path


class PaintedPhotos:
    """Photos of one colour each, which depends on the id; those whose id holds "gone" cannot be read."""

    def read(self, photo_id: str) -> bytes:
        if "gone" in photo_id:
            raise GeorankerError(f"photo {photo_id}: there is no such file")
        colour = zlib.crc32(photo_id.encode()).to_bytes(4, "big")
        packed = io.BytesIO()
        Image.new("RGB", (300, 200), (colour[0], colour[1], colour[2])).save(packed, "PNG")
        return packed.getvalue()
