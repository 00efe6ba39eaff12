"""What is shared and what is a prompt's own, attended to apart and joined: nothing is copied, and nothing is masked.

With a and b what a token sees in the two parts, and A and B the sums of the exponents there, it sees
(A a + B b) / (A + B) in both together. PyTorch's kernels return log A and log B. Their backward passes make the weights
of a part again from the log of the sum that they are given: with log (A + B) those are the weights in both together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from georanker.vlm.attention_kernel import AttentionKernel
from georanker.vlm.cuda_kernel import CudaKernel
from georanker.vlm.processor_kernel import ProcessorKernel
from georanker.vlm.segments import Segments
from georanker.vlm.shared_list import SharedList

_KERNELS = (ProcessorKernel(), CudaKernel())


@dataclass(frozen=True)
class Parts:
    """A row of prompts, cut into what is attended to apart."""

    own: Segments
    """What is shared, and the rest of each prompt: each of them looks at itself."""
    across: tuple[tuple[slice, slice, Segments], ...]
    """For each list where its rests stand, where what they share stands, and that all of those look at all of these."""

    @classmethod
    def of(cls, lists: Sequence[SharedList]) -> Self:
        """Cut the row that holds these lists."""
        runs = tuple(run for where in lists for run in (where.shared, *where.rests) if run)
        across = []
        for where in lists:
            if where.shared:
                both = Segments((sum(where.rests),), (where.shared,), causal=False)
                across.append((slice(where.middle, where.end), slice(where.start, where.middle), both))
        return cls(Segments(runs, runs, causal=True), tuple(across))


def kernel_for(query: Tensor, key: Tensor, value: Tensor) -> AttentionKernel | None:
    """Return what can attend to such tensors; None if nothing can."""
    return next((kernel for kernel in _KERNELS if kernel.takes(query, key, value)), None)


def attend_and_join(
    query: Tensor, key: Tensor, value: Tensor, parts: Parts, scaling: float | None, kernel: AttentionKernel
) -> Tensor:
    """Attend along a row of causal prompts.

    Args:
        query: (H, T, D).
        key: (G, T, D), of G groups of heads.
        value: (G, T, D).
        parts: of the row.
        scaling: of the products.
        kernel: attends to each part.

    Returns:
        (T, H, D).
    """
    sides = (tensor.transpose(0, 1) for tensor in (query, key, value))
    seen: Tensor = _Joined.apply(*sides, parts, scaling, kernel)  # type: ignore[no-untyped-call]
    return seen


class _Joined(torch.autograd.Function):
    """The attention of all parts, and its gradients."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, parts: Parts, scaling: float | None, kernel: AttentionKernel
    ) -> Tensor:
        """Return (T, H, D) of as many queries, and of (T, G, D) keys and values."""
        seen, logs = kernel.forward(q, k, v, parts.own, scaling)
        for rests, shared, segments in parts.across:
            before, before_logs = kernel.forward(q[rests], k[shared], v[shared], segments, scaling)
            share = (before_logs - logs[:, rests]).sigmoid().T.unsqueeze(2)
            seen[rests] = torch.lerp(seen[rests].float(), before.float(), share).to(seen.dtype)
            logs[:, rests] = torch.logaddexp(logs[:, rests], before_logs)
        ctx.save_for_backward(q, k, v, seen, logs)
        ctx.told = parts, scaling, kernel
        return seen

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of queries, keys and values."""
        q, k, v, seen, logs = ctx.saved_tensors
        parts, scaling, kernel = ctx.told
        d_q, d_k, d_v = kernel.backward(gradient, q, k, v, seen, logs, parts.own, scaling)
        for rests, shared, segments in parts.across:
            asked = gradient[rests], q[rests], k[shared], v[shared], seen[rests], logs[:, rests]
            more_q, more_k, more_v = kernel.backward(*asked, segments, scaling)
            d_q[rests] += more_q
            d_k[shared] += more_k
            d_v[shared] += more_v
        return d_q, d_k, d_v, None, None, None
