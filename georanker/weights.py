"""A module's weights in a file that holds nothing else."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from georanker.files import file_beside
from georanker.types import GeorankerError


def write_weights(path: Path, module: nn.Module) -> None:
    """Write all weights of a module, as safetensors."""
    # Copies, since safetensors refuses weights that share memory.
    weights = {
        name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in module.state_dict().items()
    }
    with file_beside(path) as part:
        save_file(weights, part)


def read_weights(path: Path, module: nn.Module) -> None:
    """Read what `write_weights` wrote into a module that is built alike.

    Raises:
        GeorankerError: the file is missing or broken, or its weights are not those of this module.
    """
    try:
        module.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise GeorankerError(f"{path}: cannot be read ({error})") from error
    except RuntimeError as error:
        raise GeorankerError(f"{path}: {' '.join(str(error).split())}") from error
