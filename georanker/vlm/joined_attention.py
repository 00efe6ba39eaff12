"""What is shared and what is a prompt's own, attended to apart and joined: nothing is copied, and nothing is masked.

With a and b what a token sees in the two parts, and A and B the sums of the exponents there, it sees
(A a + B b) / (A + B) in both together. PyTorch's attention for processors returns log A and log B; their gradient is
not defined, so this way is for scoring.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from georanker.vlm.shared_list import SharedList


def can_join(query: Tensor, key: Tensor, value: Tensor, dropout: float) -> bool:
    """Whether attention can be computed in this way: on a processor, without gradients and without dropout.

    And in float32 only: in 16 bits the two parts would be rounded before they are joined.
    """
    plain = all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in (query, key, value))
    alike = query.shape[-1] == value.shape[-1]  # or PyTorch takes another way, which does not return them
    return plain and alike and not torch.is_grad_enabled() and not dropout


def attend_and_join(
    query: Tensor, key: Tensor, value: Tensor, lists: Sequence[SharedList], scaling: float | None
) -> Tensor:
    """Attend along a row of causal prompts.

    Args:
        query: (H, T, D).
        key: (G, T, D), of G groups of heads.
        value: (G, T, D).
        lists: which prompts stand in the row.
        scaling: of the products.

    Returns:
        (T, H, D).
    """
    groups = len(key)
    q = query.view(groups, -1, *query.shape[1:])
    k, v = (tensor[:, None].expand(-1, q.shape[1], -1, -1) for tensor in (key, value))
    seen = value.new_empty(query.shape[1], len(query), value.shape[-1])
    out = seen.view(len(seen), groups, -1, seen.shape[-1]).permute(1, 2, 0, 3)

    def attend(asked: slice, given: slice, causal: bool) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q[:, :, asked], k[:, :, given], v[:, :, given], 0.0, causal, scale=scaling
        )
        return found

    for where in lists:
        shared, rests = slice(where.start, where.middle), slice(where.middle, where.end)
        logs = [attend(span, span, True) for span in ([shared] if where.shared else [])]
        if logs:
            out[:, :, shared] = logs[0][0]
        before, before_log = attend(rests, shared, False) if where.shared else (None, None)
        for span in where.spans():
            own, own_log = attend(span, span, True)
            if before is not None and before_log is not None:
                here = slice(span.start - where.middle, span.stop - where.middle)
                share = (before_log[:, :, here] - own_log).sigmoid()[..., None].to(own.dtype)
                own = torch.lerp(own, before[:, :, here], share)
            out[:, :, span] = own
    return seen
