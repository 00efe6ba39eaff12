"""GeoRanking at its full size: how long 100,000 rows take to open, and how much memory a training on them takes.

Opening is measured in fresh processes, one after the other: the processor's seconds beside those of the clock, which
others on the machine lengthen. Memory is measured of a real training through Lightning with one loader worker, as the
resident set of both processes after each tenth of the steps.

    python benchmarks/geo_ranking.py
"""

from __future__ import annotations

import logging
import multiprocessing
import platform
import subprocess
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from georanker.backbones.base import Backbone
from georanker.data.geo_ranking import GeoRanking
from georanker.files import write_json
from georanker.georanking import SCHEMA
from georanker.losses.multi_order_distance import MultiOrderDistance
from georanker.ranker import Ranker
from georanker.types import RankingBatch

ROWS, REFERENCES, NAMES = 100_000, 20, 6
STEPS, BATCH = 5_000, 4
ROUNDS = 5
GOAL_SECONDS = 5

OPENING = """
import sys, time
import georanker.data.geo_ranking
from georanker.data.geo_ranking import GeoRanking
wall, processor = time.perf_counter(), time.process_time()
data = GeoRanking(sys.argv[1])
lists = [data.lists(split) for split in ("train", "test", "val")]
first = lists[0][0], lists[-1][-1]
print(time.perf_counter() - wall, time.process_time() - processor, sum(map(len, lists)))
"""


class ByPlace(Backbone):
    """Looks at no photo, so that the data is what is measured."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.nn.Parameter(torch.tensor([0.01, 0.02]))

    def forward(self, batch: RankingBatch) -> Tensor:
        """Return (B, K) float32 scores."""
        return (batch.places.nan_to_num().float() @ self.weights).sin()


class Memory(Callback):
    """Notes the memory of this process and of its loader worker."""

    def __init__(self) -> None:
        self.noted: dict[int, tuple[float, float]] = {}

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Note it after each tenth of the steps."""
        if trainer.global_step % (STEPS // 10) == 0:
            (worker,) = multiprocessing.active_children()
            self.noted[trainer.global_step] = resident_mb("self"), resident_mb(str(worker.pid))


def resident_mb(process: str) -> float:
    """Return the resident set of a process in MB."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1e3, 1)


def write(path: Path) -> None:
    """Write rows like the paper's, with the photo itself at rank 0 and six names for each place."""
    random = np.random.default_rng(0)
    words = np.array(
        ["", "Paris", "Île-de-France", "Metropolitan France", "Cortina d'Ampezzo", "東京都", "United States"]
    )
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for start in range(0, ROWS, 10_000):
            count = 10_000 * REFERENCES
            ids = np.char.add(np.char.mod("%02x_7f_", random.integers(0, 256, count)), np.arange(count).astype(str))
            ids = np.char.add(ids, f"{start}.jpg")
            places = random.uniform((-90, -180), (90, 180), (count, 2))
            texts = words[random.integers(0, len(words), count * NAMES)]
            rows = np.arange(0, count + 1, REFERENCES, dtype=np.int32)
            pairs = pa.ListArray.from_arrays(np.arange(0, 2 * count + 1, 2, dtype=np.int32), pa.array(places.ravel()))
            names = pa.ListArray.from_arrays(np.arange(0, NAMES * count + 1, NAMES, dtype=np.int32), pa.array(texts))
            lists = [pa.ListArray.from_arrays(rows, values) for values in (pairs, pa.array(ids), names)]
            own = pa.array(rows[:-1])
            writer.write_table(pa.table([pa.array(ids).take(own), pairs.take(own), *lists], schema=SCHEMA))


def opened(path: Path) -> dict[str, float]:
    """Return the best of some rounds: something else disturbed the others."""
    found = []
    for _ in range(ROUNDS):
        done = subprocess.run([sys.executable, "-c", OPENING, str(path)], capture_output=True, text=True, check=True)
        found.append([float(number) for number in done.stdout.split()])
        assert found[-1][2] == ROWS
    wall, processor, _ = zip(*found, strict=True)
    return {"wall_seconds": round(min(wall), 2), "processor_seconds": round(min(processor), 2)}


def trained(path: Path) -> dict[str, Any]:
    """Return the memory of both processes over a training."""
    memory = Memory()
    model = Ranker(ByPlace(), loss=MultiOrderDistance())
    data = GeoRanking(path, batch_size=BATCH, num_workers=1, collator=model.collator)
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=STEPS,
        limit_val_batches=0,
        logger=False,
        callbacks=[memory],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data)
    steps = sorted(memory.noted)
    assert len(steps) == 10
    (main_first, worker_first), (main_last, worker_last) = memory.noted[steps[0]], memory.noted[steps[-1]]
    return {
        "steps": STEPS,
        "batch": BATCH,
        "resident_mb": {"trainer": main_last, "worker": worker_last},
        "growth_mb_after_the_first_tenth": {
            "trainer": round(main_last - main_first, 1),
            "worker": round(worker_last - worker_first, 1),
        },
        "by_step": {str(step): list(memory.noted[step]) for step in steps},
    }


def main() -> None:
    """Measure, print and write `results/geo_ranking.json`."""
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "GeoRanking.parquet"
        write(path)
        size_mb = round(path.stat().st_size / 1e6)
        opening, training = opened(path), trained(path)
    result = {
        "rows": ROWS,
        "references": REFERENCES,
        "file_mb": size_mb,
        "opening": {**opening, "goal_wall_seconds": GOAL_SECONDS},
        "training": training,
        "versions": {name: version(name) for name in ("numpy", "pyarrow", "torch", "lightning")},
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }
    write_json(Path(__file__).parent / "results" / "geo_ranking.json", result)
    held, growth = training["resident_mb"], training["growth_mb_after_the_first_tenth"]
    print(f"{ROWS:,} rows of {REFERENCES} references, {size_mb} MB")
    print(f"  opened in        {opening['wall_seconds']:.2f} s, {opening['processor_seconds']:.2f} s of a core")
    print(f"  memory           {held['trainer']:,.0f} MB, and {held['worker']:,.0f} MB of the loader worker")
    print(
        f"  growth           {growth['trainer']:+.1f} and {growth['worker']:+.1f} MB, steps {STEPS // 10} to {STEPS:,}"
    )


if __name__ == "__main__":
    main()
