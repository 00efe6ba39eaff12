"""Parts that remember how they were built, so that they can be written down and built again."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from georanker.types import GeorankerError


class Recorded:
    """A base class whose objects keep the arguments that they were made with."""

    _arguments: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keep the arguments before `__init__` sees them."""
        made = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(made, *args, **kwargs)  # partial: a copy brings none
        made.__dict__["_arguments"] = dict(list(bound.arguments.items())[1:])
        return made


@contextmanager
def quiet_building() -> Iterator[None]:
    """Silence what peft says of a setting that nobody gave: jsonargparse hands it every default of LoraConfig."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`loftq_config` specified", UserWarning)
        yield


def specification(part: Recorded, without: Collection[str] = ()) -> dict[str, Any]:
    """Return what a YAML would say to build this part: its class_path and its init_args.

    Args:
        part: what was built.
        without: arguments to leave out.

    Raises:
        GeorankerError: an argument cannot be written as YAML.
    """
    cls = type(part)
    given = {name: value for name, value in part._arguments.items() if name not in without}
    arguments = {name: _plain(value, f"{cls.__name__}.{name}") for name, value in given.items()}
    return {"class_path": f"{cls.__module__}.{cls.__qualname__}", "init_args": arguments}


def _plain(value: object, name: str) -> Any:
    if isinstance(value, Recorded):
        return specification(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple | set):
        return [_plain(each, name) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each, name) for key, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        default = type(value)()
        given = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {key: _plain(each, name) for key, each in given.items() if each != getattr(default, key)}
    raise GeorankerError(f"{name} is a {type(value).__name__}, which cannot be written as YAML")
