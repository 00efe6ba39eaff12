"""What the candidates of a photo share, computed once.

The prompts about a photo's candidates begin with the same tokens. Here they stand in one row, without padding: what
they share, then the rest of each. Every token keeps its position, and attends to what it would attend to in its own
prompt: what is shared, and what comes before it in its own rest. So the numbers are those of the prompts in full, also
in a backward pass and with gradient checkpointing, since there is no cache.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from georanker.vlm.features import PhotoFeatures
from georanker.vlm.language import Prompts, photo_inputs, positions
from georanker.vlm.layout import Layout
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
    georanker_layout: Layout | None = None,
    **others: object,
) -> tuple[Tensor, None]:
    """Attend along a row that holds the prompts of several candidates, as transformers calls an attention.

    Whoever uses the model without a layout meets its usual attention.

    Args:
        module: the layer's attention.
        query: (1, H, T, D).
        key: (1, G, T, D), of G groups of heads.
        value: (1, G, T, D).
        attention_mask: is not looked at with a layout.
        scaling: of the products.
        dropout: of the weights.
        sliding_window: how far back a token sees; None for all.
        georanker_layout: of the row; None for usual prompts.
        others: of other attentions.

    Returns:
        (1, T, H, D).
    """
    if georanker_layout is None:
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        usual: tuple[Tensor, None] = ALL_ATTENTION_FUNCTIONS["sdpa"](
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **others
        )
        return usual
    layout = georanker_layout
    layout.layers += 1
    groups, together = key.shape[1], query.shape[1] // key.shape[1]
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))

    def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """Let (N, R, H, D) queries see (N, S, G, D) keys: the heads of a group stand one below the other."""
        count, length, heads, width = q.shape
        below = q.reshape(count, length, groups, together, width).permute(0, 2, 3, 1, 4).flatten(2, 3)
        seen = nn.functional.scaled_dot_product_attention(
            below,
            k.transpose(1, 2),
            v.transpose(1, 2),
            attn_mask=mask.repeat(1, 1, together, 1),
            dropout_p=dropout,
            scale=scaling,
        )
        apart = seen.reshape(count, groups, together, length, -1).permute(0, 3, 1, 2, 4)
        return apart.reshape(count, length, heads, -1)

    out: list[Tensor] = []
    for number, where in enumerate(layout.lists):
        causal, rest_mask = layout.mask(number, sliding_window, query.device)
        shared, rests = slice(where.start, where.start + where.shared), slice(where.start + where.shared, where.end)
        parts = (torch.split(tensor[rests], list(where.rests)) for tensor in (q, k, v))
        asked, own_keys, own_values = (pad_sequence(list(part), batch_first=True) for part in parts)
        before = [tensor[None, shared].expand(len(where.rests), -1, -1, -1) for tensor in (k, v)]
        keys, values = torch.cat([before[0], own_keys], dim=1), torch.cat([before[1], own_values], dim=1)
        if layout.layers == layout.last_layer:
            each, last = torch.arange(len(where.rests)), torch.tensor(where.rests) - 1
            mask = rest_mask.expand(len(where.rests), -1, -1, -1)[each, :, last].unsqueeze(2)
            seen = attend(asked[each, last].unsqueeze(1), keys, values, mask)
            whole = seen.new_zeros(where.end - where.start, *q.shape[1:])
            whole[where.shared + last.add(1).cumsum(0) - 1] = seen[:, 0]
            out.append(whole)
            continue
        if where.shared:
            heads = [tensor[shared].repeat_interleave(together, dim=1) for tensor in (k, v)]
            out.append(_attend_to_itself(q[shared], heads[0], heads[1], causal, dropout, scaling))
        longest = max(where.rests)
        size = _BLOCK if layout.photos is None else longest  # the tokens of a photo may see beyond their block
        blocks = [slice(begin, min(begin + size, longest)) for begin in range(0, longest, size)]
        ends = [where.shared + block.stop for block in blocks]  # nothing in a block sees beyond its end
        seen = torch.cat(
            [
                attend(asked[:, block], keys[:, :end], values[:, :end], rest_mask[:, :, block, :end])
                for block, end in zip(blocks, ends, strict=True)
            ],
            dim=1,
        )
        out += [row[:length] for row, length in zip(seen, where.rests, strict=True)]
    return torch.cat(out)[None], None


def _attend_to_itself(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float, scaling: float | None
) -> Tensor:
    """Return (S, H, D) of as many queries, keys and values; causal without a mask."""
    q, k, v = (tensor.transpose(0, 1)[None] for tensor in (query, key, value))
    seen = nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=mask, is_causal=mask is None, dropout_p=dropout, scale=scaling
    )
    return seen[0].transpose(0, 1)


def shared_last_hidden(model: Any, prompts: Prompts, sizes: Sequence[int], features: PhotoFeatures | None) -> Tensor:
    """Run prompts through a model, what the prompts of a list share only once.

    Args:
        model: the one below the vocabulary head, whose language model attends by `shared_attention`.
        prompts: those of a list side by side.
        sizes: how many prompts each list has.
        features: of their photos; None if they have none.

    Returns:
        (N, H) the hidden state of each prompt's last token, as `last_hidden` gives it.
    """
    lists: list[SharedList] = []
    rows: list[Tensor] = []
    columns: list[Tensor] = []
    lasts: list[int] = []
    first = start = 0
    for size in sizes:
        some = slice(first, first + size)
        shared = shared_tokens(prompts, some)
        lengths = prompts.lengths[some].tolist()
        where = SharedList(start, shared, tuple(length - shared for length in lengths))
        lists.append(where)
        spans = [(first, 0, shared), *((first + n, shared, length) for n, length in enumerate(lengths))]
        rows += [prompts.lengths.new_full((end - begin,), row) for row, begin, end in spans]
        columns += [torch.arange(begin, end, device=prompts.ids.device) for _, begin, end in spans]
        place = start + shared
        for rest in where.rests:
            place += rest
            lasts.append(place - 1)
        first, start = first + size, where.end
    row, column = torch.cat(rows), torch.cat(columns)
    packed = Prompts(prompts.ids[row, column][None], prompts.rows[row, column][None], row.new_tensor([len(row)]))
    layers = model.get_decoder().layers
    trimmed = not torch.is_grad_enabled()  # gradient checkpointing would come back when the last layer is whole again
    layout = Layout(
        tuple(lists),
        _runs(packed.rows[0]) if _sees_photos_whole(model) else None,
        last_layer=len(layers) if trimmed else 0,
    )
    wanted = row.new_tensor(lasts)
    with packed.with_photos(model, features), _only_at(layers[-1], wanted) if trimmed else nullcontext():
        out = model(
            input_ids=packed.ids,
            attention_mask=torch.zeros(1, 1, 1, 1, device=packed.ids.device),  # of four dimensions: ours to care for
            position_ids=positions(model, prompts, features)[..., row, column].unsqueeze(-2),
            use_cache=False,
            georanker_layout=layout,
            **photo_inputs(model, packed),
        )
    if layout.layers != model.get_decoder().config.num_hidden_layers:
        raise NotShareableError("some of its layers do more than attend")
    hidden: Tensor = out.last_hidden_state[0, wanted]
    return hidden


@contextmanager
def _only_at(layer: nn.Module, places: Tensor) -> Iterator[None]:
    """Let the MLP of a layer read some tokens only; the others, whose states nobody wants, get zeros."""
    mlp = getattr(layer, "mlp", None)
    sizes: list[torch.Size] = []

    def some(_: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
        sizes.append(given[0].shape)
        return (given[0][:, places],)

    def all_again(_: nn.Module, given: tuple[Tensor], made: Tensor) -> Tensor:
        return made.new_zeros(sizes.pop()).index_copy(1, places, made)

    hooks = [mlp.register_forward_pre_hook(some), mlp.register_forward_hook(all_again)] if mlp is not None else []
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class NotShareableError(Exception):
    """A model whose candidates cannot share what they have in common."""


def shared_tokens(prompts: Prompts, some: slice) -> int:
    """Return how many tokens the prompts begin with alike, not counting the last of any."""
    ids, rows = prompts.ids[some], prompts.rows[some]
    if len(ids) == 1:
        return 0
    alike = ((ids == ids[:1]) & (rows == rows[:1])).all(0)
    return min(int(alike.long().cumprod(0).sum()), int(prompts.lengths[some].min()) - 1)


def _runs(rows: Tensor) -> Tensor:
    """Return for each token the number of the run of photo tokens that it is in, -1 for text."""
    is_photo = rows >= 0
    starts = is_photo & ~torch.cat([is_photo.new_zeros(1), is_photo[:-1]])
    return starts.long().cumsum(0).sub(1).masked_fill(~is_photo, -1)


def _sees_photos_whole(model: Any) -> bool:
    return "token_type_ids" in inspect.signature(model.forward).parameters
