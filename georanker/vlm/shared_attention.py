"""The attention of a row that holds the prompts of several candidates."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence

from georanker.vlm.joined_attention import attend_and_join, kernel_for
from georanker.vlm.layout import Layout, NotShareableError
from georanker.vlm.shared_list import SharedList

ATTENTION = "georanker_shared"
_BLOCK = 128


def register() -> None:
    """Let transformers' models attend by `shared_attention`, with the masks of its sdpa where there is no layout."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(ATTENTION, shared_attention)
    AttentionMaskInterface.register(ATTENTION, AttentionMaskInterface()["sdpa"])


def shared_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    position_ids: Tensor | None = None,
    use_cache: bool = False,
    georanker_layout: Layout | None = None,
    **others: object,
) -> tuple[Tensor, None]:
    """Attend along a row that holds the prompts of several candidates, as transformers calls an attention.

    Whoever uses the model without a layout meets its usual attention.

    Args:
        module: the layer's attention.
        query: (1, H, T, D).
        key: (1, G, T, D), of G groups of heads.
        value: (1, G, T, E).
        attention_mask: is not looked at with a layout.
        scaling: of the products.
        dropout: of the weights.
        sliding_window: how far back a token sees; None for all.
        position_ids: were looked at before.
        use_cache: there is none.
        georanker_layout: of the row; None for usual prompts.
        others: of other attentions.

    Returns:
        (1, T, H, E).

    Raises:
        NotShareableError: the layer asks for what this attention does not do.
    """
    if georanker_layout is None:
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        usual: tuple[Tensor, None] = ALL_ATTENTION_FUNCTIONS["sdpa"](
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **others
        )
        return usual
    for name, wanted in others.items():
        if wanted is not None and wanted is not False:
            raise NotShareableError(f"its attention asks for {name}")
    layout = georanker_layout
    layout.layers += 1
    trims = layout.layers == layout.last_layer
    if torch.is_autocast_enabled(query.device.type):  # which casts for PyTorch's own attention only
        narrow = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(narrow), key.to(narrow), value.to(narrow)
    kernel = None if trims or dropout or not layout.is_causal(sliding_window) else kernel_for(query, key, value)
    if kernel is not None:
        return attend_and_join(query[0], key[0], value[0], layout.parts(), scaling, kernel)[None], None
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    out: list[Tensor] = []
    for number, where in enumerate(layout.lists):
        causal, rest_mask = layout.mask(number, sliding_window, query.device)
        if trims:
            out.append(_last_tokens(q, k, v, where, rest_mask, scaling))
            continue
        if where.shared:
            shared, together = slice(where.start, where.middle), q.shape[1] // k.shape[1]
            heads = [tensor[shared].repeat_interleave(together, dim=1) for tensor in (k, v)]
            out.append(_attend_to_itself(q[shared], heads[0], heads[1], causal, dropout, scaling))
        # The tokens of a photo may see beyond their block.
        size = _BLOCK if layout.photos is None else max(where.rests)
        out += _rests(q, k, v, where, rest_mask, size, dropout, scaling)
    return torch.cat(out)[None], None


def _rests(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    where: SharedList,
    mask: Tensor,
    size: int,
    dropout: float,
    scaling: float | None,
) -> list[Tensor]:
    """Return (R, H, E) for the rest of each prompt, which is read in blocks of so many tokens."""
    asked, keys, values = _sides(q, k, v, where)
    longest = max(where.rests)
    blocks = [slice(begin, min(begin + size, longest)) for begin in range(0, longest, size)]
    ends = [where.shared + block.stop for block in blocks]  # nothing in a block sees beyond its end
    seen = torch.cat(
        [
            _attend(asked[:, block], keys[:, :end], values[:, :end], mask[:, :, block, :end], dropout, scaling)
            for block, end in zip(blocks, ends, strict=True)
        ],
        dim=1,
    )
    return [row[:length] for row, length in zip(seen, where.rests, strict=True)]


def _last_tokens(q: Tensor, k: Tensor, v: Tensor, where: SharedList, mask: Tensor, scaling: float | None) -> Tensor:
    """Return (T, H, E) for the tokens of a list: what the last token of each prompt sees, and zeros."""
    asked, keys, values = _sides(q, k, v, where)
    each, last = torch.arange(len(where.rests)), torch.tensor(where.rests) - 1
    mask = mask.expand(len(where.rests), -1, -1, -1)[each, :, last].unsqueeze(2)
    seen = _attend(asked[each, last].unsqueeze(1), keys, values, mask, 0.0, scaling)
    whole = seen.new_zeros(where.end - where.start, *seen.shape[2:])
    whole[where.shared + last.add(1).cumsum(0) - 1] = seen[:, 0]
    return whole


def _sides(q: Tensor, k: Tensor, v: Tensor, where: SharedList) -> tuple[Tensor, Tensor, Tensor]:
    """Return (K, R, H, D) queries of the rests, and the (K, S + R, G, D) keys and values that they may see."""
    rests = slice(where.middle, where.end)
    parts = (torch.split(tensor[rests], list(where.rests)) for tensor in (q, k, v))
    asked, own_keys, own_values = (pad_sequence(list(part), batch_first=True) for part in parts)
    before = [tensor[None, where.start : where.middle].expand(len(where.rests), -1, -1, -1) for tensor in (k, v)]
    return asked, torch.cat([before[0], own_keys], dim=1), torch.cat([before[1], own_values], dim=1)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, dropout: float, scaling: float | None) -> Tensor:
    """Let (N, R, H, D) queries see (N, S, G, D) keys: the heads of a group stand one below the other."""
    count, length, heads, width = q.shape
    groups, together = k.shape[2], heads // k.shape[2]
    below = q.reshape(count, length, groups, together, width).permute(0, 2, 3, 1, 4).flatten(2, 3)
    seen = scaled_dot_product_attention(
        below,
        k.transpose(1, 2),
        v.transpose(1, 2),
        attn_mask=mask.repeat(1, 1, together, 1),
        dropout_p=dropout,
        scale=scaling,
    )
    apart = seen.reshape(count, groups, together, length, -1).permute(0, 3, 1, 2, 4)
    return apart.reshape(count, length, heads, -1)


def _attend_to_itself(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float, scaling: float | None
) -> Tensor:
    """Return (S, H, E) of as many queries, keys and values; causal without a mask."""
    q, k, v = (tensor.transpose(0, 1)[None] for tensor in (query, key, value))
    seen = scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None, dropout_p=dropout, scale=scaling
    )
    return seen[0].transpose(0, 1)
