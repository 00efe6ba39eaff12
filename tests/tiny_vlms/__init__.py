"""Tiny vision-language models with random weights, in folders like those on the Hugging Face hub, made offline.

`tiny_vlm("qwen2_vl", folder)` writes the weights, the configuration, a tokenizer trained on the spot, the processor's
files and the chat template, with the names, classes and special tokens of the family's real folders.
`stock_processor(folder)` loads the processor of such a folder, also where its video half wants torchvision.
"""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from georanker.vlm.image_only import image_only_processor
from tests.tiny_vlms import families
from tests.tiny_vlms.family import Family, Text
from tests.tiny_vlms.tokenizer import SENTENCES, write_tokenizer

FAMILIES = tuple(sorted(found.name for found in pkgutil.iter_modules(families.__path__)))


def tiny_vlm(
    family: str,
    folder: Path,
    seed: int = 0,
    hidden_size: int = 32,
    layers: int = 2,
    sentences: Sequence[str] = SENTENCES,
) -> Path:
    """Write the model folder and return it."""
    made: Family = import_module(f"{families.__name__}.{family}").FAMILY
    folder.mkdir(parents=True, exist_ok=True)
    ids = write_tokenizer(made, folder, sentences)
    bos = ids[made.bos] if made.bos else None
    text = Text(hidden_size, layers, ids, pad=ids[made.pad], eos=ids[made.eos], bos=bos)
    config = AutoConfig.for_model(family, **made.config(text))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
        _randomise(model)
    model.save_pretrained(folder)
    for name, content in made.files.items():
        (folder / name).write_text(json.dumps(content, indent=2), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(made.template, encoding="utf-8")
    return folder


def stock_processor(folder: Path) -> Any:
    """Load the folder's processor; where its video half is missing, the stock processor for images and text alone."""
    try:
        return AutoProcessor.from_pretrained(folder)
    except (ImportError, OSError, ValueError):  # how transformers says that the video half is missing
        return image_only_processor(str(folder), trust_remote_code=False)


@torch.no_grad()
def _randomise(model: nn.Module) -> None:
    """Draw every matrix so large that the outputs of any two inputs visibly differ, whatever the model's width."""
    owners = {id(weight): part for part in model.modules() for weight in part.parameters(recurse=False)}
    for weight in model.parameters():
        owner = owners[id(weight)]
        if weight.dim() < 2:
            continue  # norms, biases and scales stay as the model made them
        if isinstance(owner, nn.Embedding):
            weight.normal_(std=0.5)
        elif isinstance(owner, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            weight.normal_(std=(weight.numel() / len(weight)) ** -0.5)
        else:  # bare parameters are written (in, out), or (1, positions, width)
            weight.normal_(std=len(weight) ** -0.5)
