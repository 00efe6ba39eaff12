"""Flash attention for CUDA, as PyTorch carries it: all segments in one launch."""

from __future__ import annotations

import torch
from torch import Tensor

from georanker.vlm.attention_kernel import AttentionKernel
from georanker.vlm.segments import Segments


class CudaKernel(AttentionKernel):
    """In 16 bits, for heads of up to 256 numbers, or 192 where the backward pass of more does not fit on the chip.

    Source: FlashAttention-2 (arXiv 2307.08691), through the operators that torch.nn.attention.varlen calls.
    """

    def takes(self, query: Tensor, key: Tensor, value: Tensor) -> bool:
        """Whether they lie on a GPU of CUDA that has flash attention, in 16 bits."""
        if not query.is_cuda or torch.version.hip is not None or not torch.backends.cuda.is_flash_attention_available():
            return False
        narrow = query.dtype in (torch.bfloat16, torch.float16) and query.dtype == key.dtype == value.dtype
        width = query.shape[-1]
        chip = torch.cuda.get_device_capability(query.device)
        widest = 0 if chip < (8, 0) else 256 if chip == (8, 0) or chip >= (9, 0) else 192
        return narrow and width == value.shape[-1] and width % 8 == 0 and width <= widest

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, segments: Segments, scaling: float | None
    ) -> tuple[Tensor, Tensor]:
        """Return what is seen and the logs."""
        seen, logs, *_ = torch.ops.aten._flash_attention_forward(
            query,
            key,
            value,
            *segments.ends(query.device),
            max(segments.asked),
            max(segments.given),
            0.0,
            segments.causal,
            False,
            scale=scaling,
        )
        return seen, logs

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
        """Return the gradients."""
        nothing = torch.zeros(2, dtype=torch.uint64, device=query.device)  # the dice of a dropout that there is not
        grads: tuple[Tensor, Tensor, Tensor] = torch.ops.aten._flash_attention_backward(
            gradient.contiguous(),
            query,
            key,
            value,
            seen,
            logs.contiguous(),
            *segments.ends(query.device),
            max(segments.asked),
            max(segments.given),
            0.0,
            segments.causal,
            nothing,
            query.new_empty(0),
            scale=scaling,
        )
        return grads
