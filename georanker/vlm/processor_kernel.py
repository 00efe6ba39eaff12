"""PyTorch's attention for processors, part by part."""

from __future__ import annotations

import torch
from torch import Tensor

from georanker.vlm.attention_kernel import AttentionKernel
from georanker.vlm.segments import Segments


class ProcessorKernel(AttentionKernel):
    """In float32 only: in 16 bits the parts would be rounded before they are joined, and nothing be gained."""

    def takes(self, query: Tensor, key: Tensor, value: Tensor) -> bool:
        """Whether they lie on a processor, in float32."""
        plain = all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in (query, key, value))
        return plain and query.shape[-1] == value.shape[-1]  # or PyTorch takes another way, which returns no logs

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, segments: Segments, scaling: float | None
    ) -> tuple[Tensor, Tensor]:
        """Return what is seen and the logs, segment by segment."""
        seen, logs = torch.empty_like(query), query.new_empty(query.shape[1], len(query))
        groups = key.shape[1]
        q, out = _heads_first(query, groups), _heads_first(seen, groups)
        k, v = _spread(key, q.shape[1]), _spread(value, q.shape[1])
        for asked, given in segments.slices():
            out[:, :, asked], torch.unflatten(logs, 0, (groups, -1))[:, :, asked] = (
                torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                    q[:, :, asked], k[:, :, given], v[:, :, given], 0.0, segments.causal, scale=scaling
                )
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
        """Return the gradients, segment by segment."""
        groups = key.shape[1]
        grads = tuple(torch.empty_like(tensor) for tensor in (query, key, value))
        d_q = _heads_first(grads[0], groups)
        g, q, out = (_heads_first(tensor, groups) for tensor in (gradient, query, seen))
        k, v = _spread(key, q.shape[1]), _spread(value, q.shape[1])
        sums = torch.unflatten(logs, 0, (groups, -1))
        for asked, given in segments.slices():
            d_q[:, :, asked], d_k, d_v = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                g[:, :, asked],
                q[:, :, asked],
                k[:, :, given],
                v[:, :, given],
                out[:, :, asked],
                sums[:, :, asked],
                0.0,
                segments.causal,
                scale=scaling,
            )
            grads[1][given], grads[2][given] = (part.sum(1).transpose(0, 1) for part in (d_k, d_v))
        return grads[0], grads[1], grads[2]


def _heads_first(tensor: Tensor, groups: int) -> Tensor:
    """Return (G, H / G, T, D) of (T, H, D)."""
    return torch.unflatten(tensor, 1, (groups, -1)).permute(1, 2, 0, 3)


def _spread(tensor: Tensor, together: int) -> Tensor:
    """Return (G, H / G, S, D) of (S, G, D), without a copy."""
    return tensor.transpose(0, 1)[:, None].expand(-1, together, -1, -1)
