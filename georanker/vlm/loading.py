"""A vision-language model and its processor, from a folder or a hub."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from georanker.hub import check_there, first_line
from georanker.types import GeorankerError

_NOT_OF_THE_MODEL = ("_name_or_path", "transformers_version")
"""What a config says of where a model lies, and of who wrote it."""


def load_model(
    source: str, dtype: torch.dtype, attention: str, load_in_4bit: bool = False, trust_remote_code: bool = False
) -> Any:
    """Load a model with its vocabulary head, from safetensors only, every weight of it.

    Args:
        source: a folder or a hub's id.
        dtype: of the weights.
        attention: one of transformers' implementations.
        load_in_4bit: quantise the weights with bitsandbytes.
        trust_remote_code: whether code that lies beside the weights may run.

    Raises:
        GeorankerError: there is no such model there, or weights are missing.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText, BitsAndBytesConfig
    from transformers.utils import logging

    if source.startswith((".", "/", "~")) and not Path(source).is_dir():
        raise GeorankerError(f"model {source}: there is no such folder")
    check_there(source)
    told_from = logging.get_verbosity()
    logging.set_verbosity_error()  # what is missing is told below, in one line
    four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    try:
        model, told = AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=dtype,
            attn_implementation=attention,
            quantization_config=four_bits if load_in_4bit else None,
            trust_remote_code=trust_remote_code,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise GeorankerError(f"model {source}: cannot be loaded ({first_line(error)})") from error
    finally:
        logging.set_verbosity(told_from)
    lacking = sorted({*told["missing_keys"], *(str(key) for key in told["mismatched_keys"])})
    if lacking:
        raise GeorankerError(f"model {source}: {len(lacking)} weights are missing or of another shape: {lacking[:4]}")
    model.requires_grad_(False)
    return model.train()  # as modules begin: in eval mode there is neither dropout nor gradient checkpointing


def load_processor(source: str, trust_remote_code: bool = False) -> Any:
    """Load what turns photos and text into a model's inputs; without torchvision, for photos and text alone.

    Raises:
        GeorankerError: there is none there, or it has no chat template.
    """
    from transformers import AutoProcessor

    from georanker.vlm.image_only import image_only_processor

    try:
        try:
            processor = AutoProcessor.from_pretrained(source, trust_remote_code=trust_remote_code)
        except (ImportError, OSError, ValueError):  # how transformers says that the video half is missing
            processor = image_only_processor(source, trust_remote_code)
    except (ImportError, OSError, ValueError) as error:
        raise GeorankerError(f"model {source}: its processor cannot be loaded ({first_line(error)})") from error
    if processor.chat_template is None:
        raise GeorankerError(f"model {source}: has no chat template; take a model that was tuned for conversations")
    return processor


def digest(model: Any, processor: Any, without: nn.Module | None = None) -> str:
    """Return a name for a model and for how photos reach it: the settings, and a few weights of each matrix.

    Args:
        model: with its vocabulary head, as it was loaded.
        processor: of the model.
        without: a part that does not count.
    """
    import transformers

    left_out = {id(parameter) for parameter in without.parameters()} if without else set()
    config = {name: value for name, value in model.config.to_dict().items() if name not in _NOT_OF_THE_MODEL}
    settings = (transformers.__version__, model.dtype, config, processor.image_processor, processor.chat_template)
    told = hashlib.sha256("\n".join(map(str, settings)).encode())
    for parameter in model.parameters():
        if id(parameter) not in left_out:
            some = parameter.detach().flatten()[:: max(1, parameter.numel() // 64)]
            told.update(some.float().cpu().numpy().tobytes())
    return told.hexdigest()
