"""A file of answers as columns, checked, with the distances and figures that follow from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from georanker.answers import SCHEMA
from georanker.geodesy import geodesic_km
from georanker.metrics.base import PlaceMetric
from georanker.metrics.distance_accuracy import DistanceAccuracy
from georanker.metrics.mean_error import MeanError
from georanker.metrics.median_error import MedianError
from georanker.types import LIMITS, GeorankerError, Photo

_COLUMNS = [name for name in SCHEMA.names if name != "error_km"]  # which is measured anew


@dataclass(frozen=True)
class Predictions:
    """The answers for N photos and their M candidates in all, as columns."""

    photo_ids: Sequence[str]
    """N ids."""
    places: np.ndarray
    """(N, 2) degrees of the answers."""
    truths: np.ndarray
    """(N, 2) degrees, NaN where unknown."""
    retrieved: np.ndarray
    """(N, 2) degrees of the retriever's first choices."""
    starts: np.ndarray
    """(N + 1) int64: photo i has the candidates starts[i] to starts[i + 1], best first."""
    candidate_places: np.ndarray
    """(M, 2) degrees."""
    candidate_scores: np.ndarray
    """(M) float32, the ranker's."""
    candidate_ids: pa.Array
    """M ids of the gallery's photos; null where there is none."""
    photos: Sequence[Photo] = ()
    """N photos that bring their own bytes; empty in what is read from a file."""
    notes: Sequence[str] = ()
    """N words that stand beside the answers, such as how sure they are; empty for none."""
    names: Mapping[tuple[float, float], str] = field(default_factory=dict)
    """What places are called that bring names of their own, by latitude and longitude."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that PredictionWriter wrote.

        Raises:
            GeorankerError: the file is missing, is another kind of file, has no row, or a row holds what cannot be.
        """
        table = _table(path)
        lists = table["candidates"].combine_chunks()
        candidates, lengths = lists.flatten(), lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        found = cls(
            photo_ids=table["photo_id"].to_pylist(),
            places=_points(table, ""),
            truths=_points(table, "true_"),
            retrieved=_points(table, "retrieved_"),
            starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            candidate_places=_points(candidates, ""),
            candidate_scores=_numpy(candidates.field("score")),
            candidate_ids=candidates.field("photo_id"),
        )
        found._check(path)
        return found

    def __len__(self) -> int:
        return len(self.photo_ids)

    def _check(self, path: Path) -> None:
        def refuse(wrong: np.ndarray, rows: np.ndarray, fault: str) -> None:
            if wrong.any():
                row = int(rows[wrong.argmax()])
                raise GeorankerError(f"{path}, row {row} (photo {self.photo_ids[row]}): {fault}")

        rows = np.arange(len(self))
        if not len(self):
            raise GeorankerError(f"{path}: holds no answer, so there is nothing to show")
        refuse(np.array([not name for name in self.photo_ids]), rows, "photo_id is empty")
        refuse(np.diff(self.starts) == 0, rows, "candidates is empty")
        half_known = np.isnan(self.truths).sum(1) == 1
        refuse(half_known, rows, "true_latitude and true_longitude must both be there, or neither")
        for points, owners, of in (
            (self.places, rows, ""),
            (self.retrieved, rows, "retrieved_"),
            (np.where(np.isnan(self.truths), 0.0, self.truths), rows, "true_"),
            (self.candidate_places, self.owners, "candidates' "),
        ):
            for column, (name, limit) in enumerate(LIMITS.items()):
                wrong = ~(np.abs(points[:, column]) <= limit)  # also true for NaN
                value = points[wrong.argmax(), column]
                refuse(wrong, owners, f"{of}{name} {value:.12g} is outside [-{limit:g}, {limit:g}] degrees")

    @cached_property
    def owners(self) -> np.ndarray:
        """(M) the photo that each candidate is of."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))

    @cached_property
    def known(self) -> np.ndarray:
        """(N) whether the truth is known."""
        known: np.ndarray = ~np.isnan(self.truths).any(1)
        return known

    @cached_property
    def errors_km(self) -> np.ndarray:
        """(N) geodesics from truth to answer, NaN where the truth is unknown."""
        return _km(self.places, self.truths)

    @cached_property
    def candidates_km(self) -> np.ndarray:
        """(M) geodesics from truth to candidate, NaN where the truth is unknown."""
        return _km(self.candidate_places, self.truths[self.owners])

    @cached_property
    def nearest(self) -> np.ndarray:
        """(N) which of all candidates is a photo's nearest to the truth; its first where the truth is unknown."""
        order = np.lexsort((np.nan_to_num(self.candidates_km), self.owners))
        nearest: np.ndarray = order[self.starts[:-1]]
        return nearest

    @cached_property
    def retrieved_ranks(self) -> np.ndarray:
        """(N) the rank, from 0, of the retriever's first choice; -1 where it is not among the candidates."""
        same = (self.candidate_places == self.retrieved[self.owners]).all(1)
        ranks = np.arange(len(self.owners)) - self.starts[self.owners]
        first = np.minimum.reduceat(np.where(same, ranks, len(ranks)), self.starts[:-1])
        found: np.ndarray = np.where(first < len(ranks), first, -1)
        return found

    def answers(self) -> Mapping[str, np.ndarray]:
        """Return (N, 2) degrees by whose choice they are: retrieved, ranked, oracle."""
        return {"retrieved": self.retrieved, "ranked": self.places, "oracle": self.candidate_places[self.nearest]}

    def errors_by_answer(self) -> Mapping[str, np.ndarray]:
        """Return (N) geodesics from the truth, NaN where it is unknown, by whose choice they judge."""
        return {answer: _km(places, self.truths) for answer, places in self.answers().items()}

    def figures(self, radii_km: Sequence[float]) -> dict[str, dict[str, float]]:
        """Measure the answers of known truth with our metrics: accuracy at each radius, median and mean error.

        Args:
            radii_km: rising kilometres.

        Returns:
            Figures by name, by whose choice they judge, as a ranker logs them; NaN if no truth is known.
        """
        truths = torch.from_numpy(self.truths[self.known])
        measured: dict[str, dict[str, float]] = {}
        for answer, places in self.answers().items():
            metrics: list[PlaceMetric] = [DistanceAccuracy(radii_km), MedianError(), MeanError()]
            measured[answer] = {}
            for metric in metrics:
                metric.update(torch.from_numpy(places[self.known]), truths)
                named = metric.named(metric.compute())
                measured[answer] |= {name: figure.item() for name, figure in named.items()}
        return measured


def _table(path: Path) -> pa.Table:
    try:
        with pq.ParquetFile(path) as opened:  # not `read_table`, which takes a folder named key=value for a column
            missing = [name for name in _COLUMNS if name not in opened.schema_arrow.names]
            needed = [name for name in missing if not name.startswith("true_")]  # a file may know of no truth
            if needed:
                raise GeorankerError(f"{path}: not a file of answers, it has no column {needed[0]}")
            table = opened.read([name for name in _COLUMNS if name not in missing])
            table.validate(full=True)  # arrow itself takes text that is not UTF-8
            for name in missing:
                table = table.append_column(SCHEMA.field(name), pa.nulls(len(table), SCHEMA.field(name).type))
            return table.select(_COLUMNS).cast(pa.schema([SCHEMA.field(name) for name in _COLUMNS]))
    except FileNotFoundError as error:
        raise GeorankerError(f"{path}: not there; `georanker predict` writes such a file") from error
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = str(error).splitlines()[0]
        raise GeorankerError(f"{path}: cannot be read as a file of answers ({reason})") from error


def _points(columns: pa.Table | pa.StructArray, of: str) -> np.ndarray:
    read = columns.field if isinstance(columns, pa.StructArray) else columns.column
    return np.stack([_numpy(read(f"{of}{name}")) for name in ("latitude", "longitude")], axis=1)


def _numpy(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    values: np.ndarray = column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(False)
    return values


def _km(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    km: np.ndarray = geodesic_km(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    return km
