"""The file of answers: parquet, one row a photo. It grows in parts, so that a job of hours can be killed and go on."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from georanker.files import file_beside, write_json
from georanker.ranker import UNREAD
from georanker.recorded import Recorded, specification
from georanker.types import GeorankerError, Localization

FORMAT_VERSION = 1
_ROWS_A_GROUP = 1024

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


class AnswerParts:
    """The answers so far: a folder of small parquet files, each of which is there whole or not at all.

    Any number of processes may write at once, and any number of runs one after the other. `origin.json` says whose
    answers they are, so that those of two rankers never mix.

    Args:
        folder: for the parts; all processes must see the same one.
        origin: fingerprints of what the answers depend on, by what it is.
    """

    def __init__(self, folder: Path, origin: Mapping[str, str]) -> None:
        self.folder = folder
        self._origin = {"format": str(FORMAT_VERSION), **origin}
        self._run = secrets.token_hex(8)
        self._names = (f"{self._run}-{count:06d}.parquet" for count in itertools.count())

    def begin(self) -> set[str]:
        """Make the folder or take it over, and return the ids of the photos that are answered in it.

        Raises:
            GeorankerError: it holds answers of another origin, or a file that cannot be read.
        """
        found, files = self._found_origin(), self._files()
        if files and found != self._origin:
            other = " and ".join(key for key in self._origin if found.get(key) != self._origin[key])
            raise GeorankerError(
                f"{self.folder} holds answers with another {other}; delete it to start anew, or give PredictionWriter "
                "another path"
            )
        write_json(self.folder / "origin.json", self._origin)
        return {photo_id for file in files for photo_id in _read(file, ["photo_id"])["photo_id"].to_pylist()}

    def add(self, answers: Sequence[Mapping[str, object]]) -> None:
        """Write some answers, as `row` makes them.

        Raises:
            GeorankerError: the folder was removed, or belongs to another run by now.
        """
        if self._found_origin() != self._origin:
            raise GeorankerError(f"{self.folder} was removed or changed by another run while this one wrote to it")
        with file_beside(self.folder / next(self._names)) as part:
            pq.write_table(pa.Table.from_pylist(list(answers), SCHEMA), part)

    def withdraw(self) -> None:
        """Delete what this run has written."""
        for file in self.folder.glob(f"{self._run}-*.parquet"):
            file.unlink(missing_ok=True)

    def merge(self, path: Path, photo_ids: Sequence[str], whole: bool = True) -> None:
        """Put the answers into one file, with memory that does not grow with their number.

        The file depends on the answers alone, and not on how they are spread over parts. It appears when it is whole;
        what a kill leaves of it lies among the parts.

        Args:
            path: the file to write.
            photo_ids: in the order of the rows.
            whole: whether each photo must have an answer; else those without one are left out.

        Raises:
            GeorankerError: an answer is missing, or a part cannot be read.
        """
        files = self._files()
        places: dict[str, tuple[int, int]] = {}
        for number, file in enumerate(files):
            for row, photo_id in enumerate(_read(file, ["photo_id"])["photo_id"].to_pylist()):
                places.setdefault(photo_id, (number, row))  # a process that outlived a kill may have answered once more
        order = [places[photo_id] for photo_id in photo_ids if photo_id in places]
        if whole and len(order) < len(photo_ids):
            missing = next(photo_id for photo_id in photo_ids if photo_id not in places)
            raise GeorankerError(
                f"{self.folder} lacks {len(photo_ids) - len(order):,} answers, photo {missing} for one; see that all "
                "processes write to one disk, and run the same command again"
            )
        merged = self.folder / "merged.part"
        with pq.ParquetWriter(merged, SCHEMA) as writer:
            for start in range(0, len(order), _ROWS_A_GROUP):
                writer.write_table(_gathered(files, order[start : start + _ROWS_A_GROUP]))
        os.replace(merged, path)

    def remove(self) -> None:
        """Delete the folder; what says whose answers they are goes last, so that a kill leaves nothing nameless."""
        for file in self._files():
            file.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.parquet"))

    def _found_origin(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads((self.folder / "origin.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found


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


def _read(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    try:
        # Not `read_table`, which takes a folder named key=value for a column.
        with pq.ParquetFile(file) as opened:
            return opened.read(columns)
    except (OSError, pa.ArrowException) as error:
        raise GeorankerError(f"{file}: cannot be read ({error}); delete it, and its photos are asked again") from error


def _gathered(files: Sequence[Path], order: Sequence[tuple[int, int]]) -> pa.Table:
    """Return rows of several files, given as (number of the file, row), in this order."""
    tables, starts, total = [], {}, 0
    for number in sorted({number for number, _ in order}):
        tables.append(_read(files[number]))
        starts[number], total = total, total + len(tables[-1])
    return pa.concat_tables(tables).combine_chunks().take([starts[number] + row for number, row in order])
