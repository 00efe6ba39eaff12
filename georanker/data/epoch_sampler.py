"""The order in which a loader reads its items."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import DistributedSampler


class EpochSampler(DistributedSampler[int]):
    """Gives each process its share of an order that depends on the seed and the epoch alone.

    With R processes, process r reads items r, r + R, ... of the common order: R processes with batches of B/R see the
    same global batches as one with batches of B.

    Args:
        size: how many items there are.
        shuffle: whether to mix them, anew in each epoch. A mixed order is cut to the same length for all processes; an
            order that is not mixed is for evaluation, and neither cut nor padded, so that each item counts once.
        seed: of the order.
        rank: of this process.
        processes: how many there are.
        position: tells, when an epoch is about to be read, which one it is and how many of its items this process has
            read before; None for the whole of the epoch that `set_epoch` set. So a run that was interrupted goes on.
    """

    def __init__(
        self,
        size: int,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        processes: int = 1,
        position: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        super().__init__(range(size), processes, rank, shuffle, seed, drop_last=shuffle)  # type: ignore[arg-type]
        self.size = size
        self._position = position

    def __iter__(self) -> Iterator[int]:
        epoch, skip = self._position() if self._position else (self.epoch, 0)
        if self.shuffle:
            order = np.random.default_rng((self.seed, epoch)).permutation(self.size)
            order = order[: self.size // self.num_replicas * self.num_replicas]
        else:
            order = np.arange(self.size)
        return iter(order[self.rank :: self.num_replicas][skip:].tolist())

    def __len__(self) -> int:
        if self.shuffle:
            return self.size // self.num_replicas
        return len(range(self.rank, self.size, self.num_replicas))
