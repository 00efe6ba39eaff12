"""Finds the classes of a room, so that no list of names is kept by hand.

A room is a package of georanker whose modules hold one class each. A new file in a room is all that it takes
for `from georanker.<room> import Class` and for the short name in a YAML.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from types import ModuleType

import georanker


def rooms() -> list[str]:
    """Return the names of the packages of georanker that export their classes through `exports`."""
    packages = {found.name for found in pkgutil.iter_modules(georanker.__path__) if found.ispkg}
    packages.add("callbacks")  # lies beside georanker in the sources, where a listing of the folder does not find it
    return sorted(name for name in packages if "__getattr__" in vars(importlib.import_module(f"georanker.{name}")))


def modules(package: str) -> Iterator[ModuleType]:
    """Import and yield each module of `package`, in alphabetical order."""
    path = importlib.import_module(package).__path__
    for module in sorted(pkgutil.iter_modules(path), key=lambda found: found.name):
        if not module.name.startswith("_"):
            yield importlib.import_module(f"{package}.{module.name}")


def classes(package: str) -> Iterator[type]:
    """Yield the public classes that the modules of `package` define themselves, errors aside."""
    for module in modules(package):
        for name, value in vars(module).items():
            own = inspect.isclass(value) and value.__module__ == module.__name__ and not name.startswith("_")
            if own and not issubclass(value, BaseException):
                yield value


def exports(package: str) -> tuple[Callable[[str], type], Callable[[], list[str]]]:
    """Make the `__getattr__` and `__dir__` of a room, which import its modules when a class is first asked for.

    Args:
        package: the room's full name, its `__name__`.

    Returns:
        The two functions of PEP 562.
    """

    def getattr_(name: str) -> type:
        if name[:1].isupper():
            for found in classes(package):
                if found.__name__ == name:
                    return found
        raise AttributeError(f"module {package!r} has no class {name!r}")

    def dir_() -> list[str]:
        return sorted(found.__name__ for found in classes(package))

    return getattr_, dir_


def all_classes() -> list[type]:
    """Import every room and the ranker, after which YAML can name each of their classes by its short name."""
    from georanker.ranker import Ranker

    return [Ranker, *(found for room in rooms() for found in classes(f"georanker.{room}"))]
