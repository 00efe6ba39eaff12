"""Two processes with uneven shares of the photos report what one process with all of them reports."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from georanker.discovery import classes
from georanker.metrics.base import GeoMetric, PlaceMetric

Batch = tuple[Tensor, ...]
Shares = list[list[Batch]]  # by process, then by batch


def _report(rank: int, folder: Path, jobs: list[tuple[GeoMetric, Shares]]) -> None:
    """What each process does: update on its own share, compute over both, write the figures down."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    figures: list[Tensor] = []
    for metric, shares in jobs:
        for batch in shares[rank]:
            metric.update(*batch)
        figures += [metric.compute(), metric.compute()]
        for batch in shares[rank]:  # the sync must leave each process its own sums
            metric.update(*batch)
        figures.append(metric.compute())
    torch.save(figures, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_two_processes_equal_one(
    tmp_path: Path, places: Callable[[int, int], Batch], lists: Callable[[int, int], Batch]
) -> None:
    jobs: list[tuple[GeoMetric, Shares]] = []
    for cls in classes("georanker.metrics"):
        if not issubclass(cls, GeoMetric) or inspect.isabstract(cls):
            continue
        make = places if issubclass(cls, PlaceMetric) else lists
        jobs.append((cls(), [[make(7, 0), make(2, 1)], [make(4, 2)]]))
        jobs.append((cls(), [[make(5, 3)], []]))  # the last process may have no photo
        jobs.append((cls(), [[], [make(5, 3)]]))
        jobs.append((cls(), [[], []]))
    spawn(_report, args=(tmp_path, jobs), nprocs=2)  # type: ignore[no-untyped-call]

    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert len(first) == len(second) == 3 * len(jobs)
    for index, (metric, shares) in enumerate(jobs):
        batches = shares[0] + shares[1]
        for repeats, by_rank in ((1, 0), (1, 1), (2, 2)):
            alone = metric.clone()
            for batch in batches * repeats:
                alone.update(*batch)
            for figures in (first, second):
                torch.testing.assert_close(
                    figures[3 * index + by_rank], alone.compute(), rtol=1e-12, atol=0, equal_nan=True
                )
