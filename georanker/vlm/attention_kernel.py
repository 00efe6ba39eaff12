"""The contract of the attention that can be joined from parts."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from georanker.vlm.segments import Segments


class AttentionKernel(ABC):
    """Lets T tokens look at S others, and says by how much, for H heads in G groups.

    Queries are (T, H, D), keys and values (S, G, D), and the logs of the sums of the exponents (H, T) float32.
    """

    @abstractmethod
    def takes(self, query: Tensor, key: Tensor, value: Tensor) -> bool:
        """Whether such tensors can be attended to."""

    @abstractmethod
    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, segments: Segments, scaling: float | None
    ) -> tuple[Tensor, Tensor]:
        """Return (T, H, D) what is seen, and the logs; scaling is of the products, None for 1 / sqrt(D)."""

    @abstractmethod
    def backward(
        self,
        gradient: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        seen: Tensor,
        logs: Tensor,
        segments: Segments,
        scaling: float | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of queries, keys and values.

        `seen` and `logs` may be those of more keys than there are here: the gradients are then these keys' share.
        """
