"""Low-rank adapters on a language model: made, read and written in the files of PEFT."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from georanker.files import file_beside, write_text
from georanker.heads.base import Head
from georanker.types import GeorankerError

if TYPE_CHECKING:
    from peft import LoraConfig

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_HEAD = "value_head"
_SHOWN = 4
_ALL = "all-linear"
_OF_THE_WRITER = {"auto_mapping", "task_type", "inference_mode", "modules_to_save", "peft_type", "runtime_config"}


def add_adapter(model: Any, config: LoraConfig) -> LoraConfig:
    """Put low-rank matrices beside the weights of the language model, in float32.

    Args:
        model: a vision-language model with its vocabulary head.
        config: whose target_modules, given as a list or as all-linear, are looked for in the language model alone; any
            other text is a pattern that is matched with whole names, and reaches where it says.

    Returns:
        The config with the pattern that was used.

    Raises:
        GeorankerError: nothing in the model is named so, or a setting cannot be.
    """
    from peft import inject_adapter_in_model

    used = copy.copy(config)
    if used.bias != "none" or set(used.modules_to_save or ()) - {_HEAD}:
        raise GeorankerError("lora: bias and modules_to_save would be lost; only low-rank matrices are trained")
    used.modules_to_save = None  # the head is ours to save
    if used.target_modules == _ALL or not isinstance(used.target_modules, str):
        (language,) = (name for name, module in model.named_modules() if module is model.get_decoder())
        names = "|".join(map(re.escape, _names(model.get_decoder(), used.target_modules)))
        layers = "" if used.layers_to_transform is None else rf"layers\.({_alternatives(used.layers_to_transform)})\."
        used.target_modules = rf"{re.escape(language)}\.{layers}(.*\.)?({names})"
        used.layers_to_transform = used.layers_pattern = None  # peft does not look at them beside a pattern
    try:
        inject_adapter_in_model(used, model)
    except (ValueError, TypeError, re.error) as error:
        raise GeorankerError(f"lora: {str(error).splitlines()[0]}") from error
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(_is_adapter(name))
        if _is_adapter(name):
            parameter.data = parameter.data.float()
    return used


def _names(language: nn.Module, targets: Collection[str] | None) -> list[str]:
    """Return the names of the parts to adapt, each of which is somewhere in the language model."""
    parts = dict(language.named_modules())
    linear = sorted({name.rpartition(".")[2] for name, part in parts.items() if isinstance(part, nn.Linear)})
    if targets == _ALL:
        return linear
    lost = sorted(name for name in targets or () if not any(f".{each}".endswith(f".{name}") for each in parts))
    if lost or not targets:
        said = f"names {', '.join(lost)}, which the language model has not" if lost else "is not set"
        raise GeorankerError(f"lora: target_modules {said}; it has {', '.join(linear)}")
    return sorted(targets)


def _alternatives(layers: int | Collection[int]) -> str:
    return "|".join(map(str, [layers] if isinstance(layers, int) else layers))


def read_config(folder: Path) -> LoraConfig:
    """Return the settings of a saved adapter.

    What the file says of the classes that wrote it is ignored, and no code of it is run.

    Raises:
        GeorankerError: the file is missing or broken, or of another kind of adapter.
    """
    from peft import LoraConfig

    try:
        written = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GeorankerError(f"adapter {folder}: its {_CONFIG} cannot be read ({error})") from error
    if not isinstance(written, dict):
        raise GeorankerError(f"adapter {folder}: its {_CONFIG} holds no settings")
    if written.get("peft_type") != "LORA":
        raise GeorankerError(f"adapter {folder}: is of the kind {written.get('peft_type')}, and only LORA is read")
    known = {field.name for field in fields(LoraConfig)} - _OF_THE_WRITER
    try:
        return LoraConfig(**{name: value for name, value in written.items() if name in known})
    except (TypeError, ValueError, AttributeError) as error:
        raise GeorankerError(f"adapter {folder}: its {_CONFIG} cannot be used ({error})") from error


def load_adapter(folder: Path, model: Any, head: Head) -> None:
    """Read the weights of an adapter and of its head.

    Args:
        folder: as `save_adapter` or PEFT wrote it.
        model: a vision-language model, to which an adapter of the same settings was added.
        head: scores hidden states; the file must hold it, unless it means something without.

    Raises:
        GeorankerError: the file is missing or broken, or its weights are not numbers or not those of this model; they
            are listed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        saved = load_file(folder / _WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise GeorankerError(f"adapter {folder}: its {_WEIGHTS} cannot be read ({error})") from error
    wanted = dict(_parts(model, head, head.starts_random or any(_HEAD in key for key in saved)))
    outside = _outside(model)
    found: dict[str, Tensor] = {}
    for key, tensor in saved.items():
        name = _name_in(wanted, key, outside)
        found[key if name in found else name] = tensor
    _check(folder, wanted, found)
    with torch.no_grad():
        for name, parameter in wanted.items():
            parameter.copy_(found[name])


def save_adapter(folder: Path, model: Any, head: Head, config: LoraConfig | None) -> None:
    """Write an adapter and its head, as PEFT does; without a config there is only the head."""
    from safetensors.torch import save_file

    tensors = {_PREFIX + name: parameter.detach().contiguous() for name, parameter in _parts(model, head, True)}
    with file_beside(folder / _WEIGHTS) as part:
        save_file(tensors, part, metadata={"format": "pt"})
    if config is not None:
        saved = copy.copy(config)
        saved.modules_to_save, saved.base_model_name_or_path = [_HEAD], model.name_or_path
        write_text(folder / _CONFIG, json.dumps(saved.to_dict(), indent=2, default=sorted) + "\n")


def _parts(model: nn.Module, head: nn.Module, with_head: bool) -> list[tuple[str, nn.Parameter]]:
    """Return the adapter's and the head's weights by the names that they have in a file, without its prefix."""
    adapter = [(n.replace(".default.", "."), p) for n, p in model.named_parameters() if _is_adapter(n)]
    heads = [(f"{_HEAD}.{name}", parameter) for name, parameter in head.named_parameters()]
    return [*adapter, *heads] if with_head else adapter


def _is_adapter(name: str) -> bool:
    return ".lora_" in name


def _outside(model: Any) -> set[str]:
    """Return the words in names of parts that are not on the way to the language model, such as vision_tower."""
    names = {module: name for name, module in model.named_modules()}
    language = names[model.get_decoder()]
    outside = {word for name in names.values() if not name.startswith(language) for word in name.split(".")}
    return outside - {"", *language.split(".")}


def _name_in(wanted: Mapping[str, nn.Parameter], key: str, outside: set[str]) -> str:
    """Return our name of a weight in a file; versions of transformers place the language model differently."""
    name = key.removeprefix(_PREFIX).replace(".modules_to_save.default.", ".").replace(".default.", ".")
    if name.endswith("lora_magnitude_vector"):
        name += ".weight"  # peft writes DoRA's without
    if name in wanted:
        return name
    place, _, tail = name.partition("layers.")
    if not outside.isdisjoint(place.split(".")):
        return name
    ours = [other for other in wanted if tail and other.endswith(f".layers.{tail}")]
    return ours[0] if len(ours) == 1 else name


def _check(folder: Path, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    shapes = [
        f"{name} is {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in found and found[name].shape != wanted[name].shape
    ]
    problems = {
        "missing": [name for name in wanted if name not in found],
        "unexpected": [name for name in found if name not in wanted],
        "of another shape": shapes,
        "not finite": [name for name, tensor in found.items() if not tensor.isfinite().all()],
    }
    told = [f"{len(names)} {what}: {_listed(names)}" for what, names in problems.items() if names]
    if told:
        raise GeorankerError(f"adapter {folder} does not fit the model; {'; '.join(told)}")


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
