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

from georanker.vlm.features import PhotoFeatures
from georanker.vlm.language import Prompts, photo_inputs, positions
from georanker.vlm.layout import Layout, NotShareableError
from georanker.vlm.shared_list import SharedList


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
        lasts += [span.stop - 1 for span in where.spans()]
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
    """Let what a layer does to each token by itself be done to some; the others, whose states nobody wants, get zeros.

    Keys and values are made for all tokens. A part that a layer calls otherwise reads all tokens, which costs time.
    """
    sizes: list[torch.Size] = []

    def some(_: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
        sizes.append(given[0].shape)
        return (given[0][:, places],)

    def all_again(_: nn.Module, given: tuple[Tensor], made: object) -> Tensor:
        if not isinstance(made, Tensor):
            raise NotShareableError("its last layer returns more than states")
        return made.new_zeros(*sizes.pop()[:2], made.shape[-1]).index_copy_(1, places, made)

    parts = dict(layer.named_modules())
    hooks = [
        handle
        for part in ("self_attn.q_proj", "self_attn.o_proj", "mlp")
        if part in parts
        for handle in (parts[part].register_forward_pre_hook(some), parts[part].register_forward_hook(all_again))
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


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
