"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from tests.conftest import ROOT

MODULES = sorted(
    module.name
    for package in ("georanker", "georanker.callbacks")  # callbacks lie beside it in the sources
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}.")
    if "__main__" not in module.name
)


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_no_file_is_missed() -> None:
    files = [path for folder in ("georanker", "callbacks") for path in (ROOT / folder).rglob("[!_]*.py")]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files}
    assert {name.removeprefix("georanker.") for name in names} <= {name.removeprefix("georanker.") for name in MODULES}


def test_there_are_some() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert sum(len(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name))) > 30
