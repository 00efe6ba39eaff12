"""The order in which a loader reads its items."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from torch.utils.data import DistributedSampler


class EpochSampler(DistributedSampler[int]):
    """Gives each process its share of an order that depends on the seed and the epoch alone.

    With R processes, process r reads blocks r, r + R, ... of the common order. Blocks of one item let R processes with
    batches of B/R see the same global batches as one with batches of B. Blocks as long as a batch let any R processes
    read the same batches: which items stand together decides the last digit of their scores.

    Args:
        size: how many items there are.
        shuffle: whether to mix them, anew in each epoch. A mixed order is cut to the same length for all processes; an
            order that is not mixed is for evaluation, and neither cut nor padded, so that each item counts once.
        seed: of the order.
        block: items in a block.
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
        block: int = 1,
        rank: int = 0,
        processes: int = 1,
        position: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        super().__init__(range(size), processes, rank, shuffle, seed, drop_last=shuffle)  # type: ignore[arg-type]
        self.size = size
        self._block = block
        self._position = position

    def __iter__(self) -> Iterator[int]:
        epoch, skip = self._position() if self._position else (self.epoch, 0)
        if self.shuffle:
            order = np.random.default_rng((self.seed, epoch)).permutation(self.size)
            order = order[: self.size // self.num_replicas * self.num_replicas]
        else:
            order = np.arange(self.size)
        return iter(order[self._is_mine()][skip:].tolist())

    def __len__(self) -> int:
        return int(self._is_mine().sum())

    def _is_mine(self) -> np.ndarray:
        """Return which places of the order are this process's."""
        size = self.size // self.num_replicas * self.num_replicas if self.shuffle else self.size
        mine: np.ndarray = np.arange(size) // self._block % self.num_replicas == self.rank
        return mine
