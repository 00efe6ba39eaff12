"""Modules from their checkpoints, which hold weights and settings but no code."""

from __future__ import annotations

import pickle
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from georanker.types import GeorankerError

if TYPE_CHECKING:
    import lightning as L

Module = TypeVar("Module", bound="L.LightningModule")


def load_module(checkpoint: Path, kind: type[Module], name: str) -> Module:
    """Build a module from its checkpoint, on the GPU if there is one.

    Args:
        checkpoint: what `georanker fit` wrote.
        kind: the class that it must be of.
        name: what errors call it, such as "retriever".

    Raises:
        GeorankerError: the file is missing, cut short, or holds something else.
    """
    import torch

    try:
        model = kind.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise GeorankerError(f"{checkpoint}: not there; name the checkpoint of a trained {name}") from error
    except (EOFError, LookupError, pickle.UnpicklingError) as error:
        raise GeorankerError(f"{checkpoint}: not a checkpoint, or cut short") from error
    except (OSError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        reason = textwrap.shorten(str(error).partition(" and was blocked")[0], 200)
        raise GeorankerError(f"{checkpoint}: cannot be read as a {name}'s checkpoint ({reason})") from error
    if not isinstance(model, kind):
        raise GeorankerError(f"{checkpoint}: holds a {type(model).__name__}, which is not a {name}")
    return model.to("cuda" if torch.cuda.is_available() else "cpu")
