"""Times MultiOrderDistance, forward and backward, against its formula written down with torch.logcumsumexp.

    python -m benchmarks.losses

Both run in turns in one process on one thread; the ratio of the best times is what counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from georanker.losses.multi_order_distance import MultiOrderDistance

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def straightforward(top: int) -> Loss:
    """Make the loss without input checks and without a way of its own around any step."""

    def drawn(values: Tensor, valid: Tensor, count: int) -> Tensor:
        values = values.masked_fill(~valid, -1e30)
        terms = values.flip(-1).logcumsumexp(-1).flip(-1) - values
        kept = valid[:, :count]
        return terms[:, :count].masked_fill(~kept, 0.0).sum(-1) / kept.sum(-1).clamp(min=1)

    def loss(scores: Tensor, distances: Tensor, mask: Tensor) -> Tensor:
        d, order = distances.masked_fill(~mask, torch.inf).sort(dim=-1, stable=True)
        s, m = scores.gather(-1, order), mask.gather(-1, order)
        i, j = torch.triu_indices(min(top, s.shape[-1]), s.shape[-1], offset=1)
        gaps, pair_order = (d[:, i] - d[:, j]).masked_fill(~m[:, j], torch.inf).sort(dim=-1, stable=True)
        second = drawn((s[:, i] - s[:, j]).gather(-1, pair_order), gaps < torch.inf, gaps.shape[-1])
        return (0.7 * drawn(s, m, top) + 0.3 * second).mean()

    return loss


def best_seconds(losses: list[Loss], batch: tuple[Tensor, Tensor, Tensor], rounds: int, calls: int) -> list[float]:
    """Return the best time of a call of each, taking turns so that a busy machine slows all alike."""
    best = [float("inf")] * len(losses)
    scores, distances, mask = batch
    for _ in range(rounds):
        for index, loss in enumerate(losses):
            start = time.perf_counter()
            for _ in range(calls):
                torch.autograd.grad(loss(scores, distances, mask), scores)
            best[index] = min(best[index], (time.perf_counter() - start) / calls)
    return best


def main() -> None:
    """Print a table."""
    torch.set_num_threads(1)
    print("lists  candidates  pairs from  straightforward  georanker  ratio")
    for length in (7, 20):
        for top in (1, length):
            generator = torch.Generator().manual_seed(0)
            scores = torch.randn(64, length, generator=generator).requires_grad_()
            distances = torch.rand(64, length, generator=generator) * 10_000
            mask = torch.rand(64, length, generator=generator) < 0.9
            mask[:, :2] = True
            public, ours = straightforward(top), MultiOrderDistance(0.7, top)
            torch.testing.assert_close(public(scores, distances, mask), ours(scores, distances, mask))
            slow, fast = best_seconds([public, ours], (scores, distances, mask), rounds=50, calls=10)
            print(
                f"{64:5d}  {length:10d}  {f'top {top}':>10}  {slow * 1e6:12.0f} us  {fast * 1e6:6.0f} us"
                f"  {slow / fast:5.2f}"
            )


if __name__ == "__main__":
    main()
