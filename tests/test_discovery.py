"""The rooms are found on disk, and every class of a room by its name alone."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import georanker
from georanker.discovery import all_classes, classes, exports, modules, rooms

ROOM = '''
"""A room."""

from georanker.discovery import exports

__getattr__, __dir__ = exports(__name__)
'''


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package outside georanker, with one class."""
    folder = tmp_path / "garden_room"
    folder.mkdir()
    (folder / "__init__.py").write_text(ROOM)
    (folder / "plant.py").write_text("from pathlib import Path\nclass Plant: ...\nclass _Root: ...\nSEEDS = 3\n")
    (folder / "_cellar.py").write_text("raise RuntimeError('nobody goes there')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith("garden_room")]:
        del sys.modules[name]


def test_rooms_are_those_on_disk() -> None:
    folder = Path(georanker.__file__).parent
    found = {path.parent.name for path in folder.glob("*/__init__.py") if "exports(__name__)" in path.read_text()}
    assert rooms() == sorted(found | {"callbacks"})


@pytest.mark.parametrize("name", rooms())
def test_each_class_of_each_room_by_its_name(name: str) -> None:
    package = importlib.import_module(f"georanker.{name}")
    found = list(classes(f"georanker.{name}"))
    assert dir(package) == sorted(each.__name__ for each in found)
    for each in found:
        assert getattr(package, each.__name__) is each
        assert not each.__name__.startswith("_")
        assert each.__module__.startswith(f"georanker.{name}.")


def test_no_short_name_means_two_classes() -> None:
    found = all_classes()
    names = [each.__name__ for each in found]
    assert sorted(set(names)) == sorted(names)
    assert {"Ranker", "BlueMarble", "ConvNet", "ContrastiveRetriever", "EmbeddingBackbone", "RankNet"} <= set(names)
    assert all(inspect.isclass(each) for each in found)


def test_a_new_file_is_all_it_takes(room: Path) -> None:
    garden_room = importlib.import_module("garden_room")

    assert dir(garden_room) == ["Plant"]
    (room / "pond.py").write_text("class Pond: ...\n")
    importlib.invalidate_caches()
    assert dir(garden_room) == ["Plant", "Pond"]
    assert garden_room.Pond.__module__ == "garden_room.pond"
    assert [module.__name__ for module in modules("garden_room")] == ["garden_room.plant", "garden_room.pond"]


def test_what_is_not_there_is_named(room: Path) -> None:
    garden_room = importlib.import_module("garden_room")

    for name in ("Path", "_Root", "SEEDS", "Tree", "tree"):
        with pytest.raises(AttributeError, match=f"module 'garden_room' has no class '{name}'"):
            getattr(garden_room, name)


def test_a_room_imports_nothing_before_it_is_asked(room: Path) -> None:
    (room / "heavy.py").write_text("raise RuntimeError('imported')\nclass Heavy: ...\n")
    garden_room = importlib.import_module("garden_room")

    with pytest.raises(AttributeError):
        _ = garden_room.lower_case  # a module's name is no reason to import the others
    with pytest.raises(RuntimeError, match="imported"):
        _ = garden_room.Heavy


def test_exports_are_for_one_package(room: Path) -> None:
    getattr_, dir_ = exports("garden_room")
    assert getattr_("Plant").__name__ == "Plant"
    assert dir_() == ["Plant"]
