"""Speed of evaluating answers: our metrics beside a loop over geopy's geodesic, the public way of doing it.

Both measure the same pairs in one process, in turn, and must report the same figures.

    python benchmarks/geodesy.py
"""

from __future__ import annotations

import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import torch
from geopy.distance import geodesic
from torch import Tensor

from georanker.files import write_json
from georanker.geodesy import geodesic_km
from georanker.metrics.base import PlaceMetric
from georanker.metrics.distance_accuracy import DistanceAccuracy
from georanker.metrics.inputs import RADII_KM
from georanker.metrics.median_error import MedianError

PAIRS = 20_000
ROUNDS = 5
GOAL = 50


def pairs() -> tuple[Tensor, Tensor]:
    """Answers and truths: half within a few degrees, half anywhere."""
    random = torch.Generator().manual_seed(0)
    truth, anywhere = (
        (torch.rand(PAIRS, 2, generator=random, dtype=torch.float64) - 0.5) * torch.tensor([178.0, 360.0])
        for _ in range(2)
    )
    step = 10 ** (torch.rand(PAIRS, 1, generator=random, dtype=torch.float64) * 4 - 4)
    near = truth + step * torch.tensor([-1.0, 1.0])
    near = torch.stack([near[:, 0].clamp(-90, 90), (near[:, 1] + 180) % 360 - 180], 1)
    return torch.where(torch.arange(PAIRS)[:, None] % 2 == 0, near, anywhere), truth


def ours(predicted: Tensor, truth: Tensor) -> list[float]:
    """Accuracies and median; each metric measures the distances for itself."""
    metrics: list[PlaceMetric] = [DistanceAccuracy(), MedianError()]
    for metric in metrics:
        metric.update(predicted, truth)
    return torch.cat([metric.compute().reshape(-1) for metric in metrics]).tolist()


def public(predicted: list[list[float]], truth: list[list[float]]) -> tuple[list[float], list[float]]:
    """The same figures from geopy, and its distances."""
    km = [geodesic(a, b).km for a, b in zip(predicted, truth, strict=True)]
    return [*(sum(x < radius for x in km) / len(km) for radius in RADII_KM), statistics.median(km)], km


def main() -> None:
    """Measure, print and write `results/geodesy.json`."""
    torch.set_num_threads(1)
    predicted, truth = pairs()
    lists = predicted.tolist(), truth.tolist()
    ours(predicted[:9], truth[:9])  # first calls import pyproj
    our_seconds, distance_seconds, public_seconds = [], [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        our_figures = ours(predicted, truth)
        our_seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        measured = geodesic_km(predicted, truth)
        distance_seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        public_figures, km = public(*lists)
        public_seconds.append(time.perf_counter() - start)

    difference = (measured - torch.tensor(km, dtype=torch.float64)).abs().max().item()
    assert difference < 1e-6, f"distances differ by {difference} km"
    assert our_figures[:-1] == public_figures[:-1], (our_figures, public_figures)
    assert abs(our_figures[-1] - public_figures[-1]) < 1e-6, (our_figures, public_figures)

    # The best round of each: the others were disturbed by something else.
    our_rate, public_rate = PAIRS / min(our_seconds), PAIRS / min(public_seconds)
    result = {
        "pairs": PAIRS,
        "rounds": ROUNDS,
        "figures": dict(zip([*DistanceAccuracy().labels, *MedianError().labels], our_figures, strict=True)),
        "max_abs_diff_km": difference,
        "georanker_pairs_per_s": round(our_rate),
        "geopy_pairs_per_s": round(public_rate),
        "ratio": round(our_rate / public_rate, 1),
        "goal": GOAL,
        "ratio_of_distances_alone": round(min(public_seconds) / min(distance_seconds), 1),
        "what": "DistanceAccuracy and MedianError, update and compute, against a loop over geopy; one thread",
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("georanker", "torch", "torchmetrics", "pyproj", "geopy", "numpy")},
        "machine": platform.machine(),
    }
    write_json(Path(__file__).parent / "results" / "geodesy.json", result)
    print(f"georanker {our_rate:10,.0f} pairs/s, accuracies and median")
    print(f"geopy     {public_rate:10,.0f} pairs/s")
    print(f"ratio     {our_rate / public_rate:10,.1f}  (goal {GOAL}); distances differ by at most {difference:.1e} km")


if __name__ == "__main__":
    main()
