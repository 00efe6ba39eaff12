"""A ranker in a folder: how to build it, as YAML, and its weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from georanker.config_error import explain
from georanker.files import file_beside
from georanker.hub import fetch
from georanker.recorded import quiet_building, specification
from georanker.types import GeorankerError

if TYPE_CHECKING:
    from georanker.backbones.base import Backbone

CONFIG = "ranker.yaml"


def save_backbone(backbone: Backbone, folder: Path) -> None:
    """Write a backbone, its settings as a YAML that `georanker --model` reads and its weights as safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    backbone.save_weights(folder)
    with file_beside(folder / CONFIG) as part:
        part.write_text(yaml.safe_dump({"backbone": specification(backbone)}, sort_keys=False), encoding="utf-8")


def _trusts(settings: object) -> bool:
    """Say whether settings from a file, perhaps a stranger's, let code run."""
    if isinstance(settings, dict):
        return bool(settings.get("trust_remote_code")) or any(map(_trusts, settings.values()))
    return isinstance(settings, list) and any(map(_trusts, settings))


def load_backbone(source: str | Path) -> Backbone:
    """Build a backbone as it was saved.

    Args:
        source: a folder that `save_backbone` wrote, or a hub's id.

    Raises:
        GeorankerError: it is not such a folder, or a part of it does not fit.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    from georanker.backbones.base import Backbone

    folder = fetch(source)
    path = folder / CONFIG
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--backbone", type=Backbone, required=True)
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise GeorankerError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error
    try:
        settings = parser.parse_object(read if isinstance(read, dict) else {})
        if _trusts(settings.as_dict()):
            raise GeorankerError(
                f"{path}: asks to run code that lies beside its model; if you trust that, build the backbone yourself, "
                f"with trust_remote_code and adapter={folder}"
            )
        with quiet_building():
            backbone: Backbone = parser.instantiate_classes(settings).backbone
    except (ArgumentError, TypeError, ValueError) as error:
        why = "; ".join(line.strip() for line in explain(str(error), [str(path)], ["backbone"]).splitlines())
        raise GeorankerError(f"{path}: does not say how to build a ranker ({why.replace(f'{path}, ', '')})") from error
    backbone.load_weights(folder)
    return backbone
