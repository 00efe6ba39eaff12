"""What a checkpoint remembers of a module's arguments."""

from __future__ import annotations

from collections.abc import Mapping

from lightning.pytorch.core.mixins.hparams_mixin import _given_hyperparameters
from torch import nn


def live_arguments(arguments: Mapping[str, object]) -> list[str]:
    """Name the arguments that `save_hyperparameters` must leave out.

    Built from YAML, a module remembers the YAML's plain values, and `load_from_checkpoint` builds it again. Built in
    Python, its arguments are live objects: a checkpoint that held them would have to be unpickled, which can run code.
    Give them again to `load_from_checkpoint`.

    Args:
        arguments: `locals()` of the module's `__init__`.
    """
    if _given_hyperparameters.get() is not None:
        return []
    return [
        name
        for name, value in arguments.items()
        if callable(value) or (isinstance(value, list | tuple) and any(isinstance(each, nn.Module) for each in value))
    ]
