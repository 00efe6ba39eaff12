"""Several things at the same time, in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def side_by_side(make: Callable[[Given], Made], given: Sequence[Given]) -> list[Made]:
    """Return what is made of each, in order, in as many threads as torch has in this process: one in a loader's worker.

    It pays where most of the work lets go of the interpreter, as decoding and resizing photos does.

    Args:
        make: is called by several threads at once; the first error that it raises is raised here.
        given: what to make something of.
    """
    import torch

    threads = min(torch.get_num_threads(), len(given))
    if threads < 2:
        return [make(each) for each in given]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(make, given))
