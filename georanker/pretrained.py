"""Parts in a folder: how to build them, as YAML, and their weights."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import yaml

from georanker.config_error import explain
from georanker.config_files import ConfigFiles
from georanker.files import write_text
from georanker.hub import fetch
from georanker.recorded import quiet_building, specification
from georanker.types import GeorankerError

if TYPE_CHECKING:
    from georanker.backbones.base import Backbone

CONFIG = "ranker.yaml"
Part = TypeVar("Part")
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def save_backbone(backbone: Backbone, folder: Path) -> None:
    """Write a backbone, its settings as a YAML that `georanker --model` reads and its weights as safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    backbone.save_weights(folder)
    write_yaml(folder / CONFIG, {"backbone": specification(backbone)})


def write_yaml(path: Path, settings: Mapping[str, object]) -> None:
    """Write settings, whole or not at all."""
    text = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
    write_text(path, text)


def read_yaml(path: Path) -> object:
    """Read settings, which hold no code.

    Raises:
        GeorankerError: the file is missing, or not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise GeorankerError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error


def _trusts(settings: object) -> bool:
    """Say whether settings from a file, perhaps a stranger's, let code run."""
    if isinstance(settings, dict):
        return bool(settings.get("trust_remote_code")) or any(map(_trusts, settings.values()))
    return isinstance(settings, list) and any(map(_trusts, settings))


def _texts(settings: object) -> Iterator[str]:
    """Yield all texts in settings, also those within a text that is YAML itself, which jsonargparse would read."""
    if isinstance(settings, dict | list):
        for each in settings.values() if isinstance(settings, dict) else settings:
            yield from _texts(each)
    elif isinstance(settings, str):
        yield settings
        try:
            within = yaml.safe_load(settings)
        except (ValueError, yaml.YAMLError):
            return
        if isinstance(within, dict | list):
            yield from _texts(within)


def _would_import(name: str) -> bool:
    """Say whether to look up a dotted name would import a module that is not ours and that nobody imported so far."""
    if not _DOTTED.fullmatch(name) or (name.startswith("georanker.") and "__main__" not in name):
        return False
    module, _, rest = name.rpartition(".")
    while module not in sys.modules:
        if not (found := module.rpartition("."))[0]:
            break
        module, rest = found[0], f"{found[2]}.{rest}"
    if module not in sys.modules:
        return find_spec(module) is not None  # of a module without a parent, which imports nothing
    return "." in rest and not hasattr(sys.modules[module], rest.partition(".")[0])


def build(path: Path, kind: type[Part], name: str, settings: object, model: str) -> Part:
    """Build a part as settings from a file say.

    Args:
        path: the file, for errors.
        kind: the class that the part must be of.
        name: of the one key of the settings.
        settings: what the file said.
        model: what the part belongs to, for errors.

    Raises:
        GeorankerError: they do not say how to build one, or ask to run code: they may name classes of georanker and of
            modules that are already imported, and nothing else, since to import a module runs it.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    from georanker.discovery import all_classes

    stranger = next(filter(_would_import, _texts(settings)), None)
    if stranger is not None:
        names = sorted(found.__name__ for found in all_classes() if issubclass(found, kind) and found is not kind)
        raise GeorankerError(
            f"{path}: {stranger!r} is no class of georanker, and a folder does not choose what is imported; if you "
            f"trust it, import its module first; a {name} of georanker's own is one of {', '.join(names)}"
        )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument(f"--{name}", type=kind, required=True)
    try:
        parsed = parser.parse_object(settings if isinstance(settings, dict) else {})
        if _trusts(parsed.as_dict()):
            raise GeorankerError(
                f"{path}: asks to run code that lies beside its model; if you trust that, build the {name} yourself, "
                f"with trust_remote_code and adapter={path.parent}"
            )
        with quiet_building():
            part: Part = parser.instantiate_classes(parsed)[name]
    except (ArgumentError, TypeError, ValueError) as error:
        files = ConfigFiles([str(path)])
        why = "; ".join(line.strip() for line in explain(str(error), files, [name]).splitlines())
        why = why.replace(f"{files.shown(path.absolute())}, ", "")
        raise GeorankerError(f"{path}: does not say how to build a {model} ({why})") from error
    return part


def load_backbone(source: str | Path) -> Backbone:
    """Build a backbone as it was saved.

    Args:
        source: a folder that `save_backbone` wrote, or a hub's id.

    Raises:
        GeorankerError: it is not such a folder, or a part of it does not fit.
    """
    from georanker.backbones.base import Backbone

    folder = fetch(source)
    path = folder / CONFIG
    backbone: Backbone = build(path, Backbone, "backbone", read_yaml(path), "ranker")  # type: ignore[type-abstract]
    backbone.load_weights(folder)
    return backbone
