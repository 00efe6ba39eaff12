"""The first layer of vision towers, where each patch of a photo becomes a vector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

_Conv = nn.Conv2d | nn.Conv3d


@contextmanager
def multiplied_patches(model: nn.Module) -> Iterator[None]:
    """Let convolutions multiply matrices where their input is a stack of single patches.

    Qwen's towers cut photos into patches before their convolution, which then has one place to stand on in each of
    them. A product of matrices gives the same numbers, faster. Other inputs are left alone.

    Args:
        model: has the convolutions; after the context it is as it was.
    """
    changed = [module for module in model.modules() if isinstance(module, _Conv) and _is_plain(module)]
    for conv in changed:
        conv.forward = _Product(conv)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for conv in changed:
            del conv.forward


def _is_plain(conv: _Conv) -> bool:
    return conv.groups == 1 and not any(conv.padding) and "forward" not in vars(conv)


class _Product:
    """What a convolution does, by a product of matrices if it can."""

    def __init__(self, conv: _Conv) -> None:
        self._conv, self._usual = conv, conv.forward

    def __call__(self, input: Tensor) -> Tensor:
        weight = self._conv.weight
        if input.dim() != weight.dim() or input.shape[1:] != weight.shape[1:]:
            return self._usual(input)
        made = nn.functional.linear(input.flatten(1), weight.flatten(1), self._conv.bias)
        return made[(..., *[None] * (input.dim() - 2))]
