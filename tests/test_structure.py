"""The rules of the house that a machine can check."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from georanker.discovery import classes, rooms
from tests.conftest import ROOT

SOURCES = sorted([*(ROOT / "georanker").rglob("*.py"), *(ROOT / "callbacks").rglob("*.py")])
TESTS_AND_BENCHMARKS = sorted([*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])
MODULES = [path for path in SOURCES if path.name not in ("__init__.py", "__main__.py")]

# Who may lean on whom: a room sees itself, the ground (types, geodesy and the other plain files) and these rooms.
SEES: dict[str, set[str]] = {
    "losses": set(),
    "metrics": set(),
    "encoders": set(),
    "stores": set(),
    "checks": {"data", "stores"},
    "data": {"stores"},
    "retrievers": {"encoders"},
    "generators": {"vlm"},
    "prompts": set(),
    "heads": set(),
    "vlm": {"prompts", "heads"},
    "backbones": {"encoders", "heads", "prompts", "vlm"},
    "report": {"metrics"},
    "localizing": {"data", "report"},
    "training_lists": {"data", "retrievers", "stores"},
    "precision": set(),
    "callbacks": {"data", "report"},
    "verbs": {
        "checks",
        "data",
        "generators",
        "localizing",
        "metrics",
        "report",
        "retrievers",
        "stores",
        "training_lists",
    },
}
GROUND = {"types", "geodesy", "files", "job_folder", "parts", "weights", "discovery", "recorded", "hub", "side_by_side"}
BEYOND: dict[str, set[str]] = {
    "losses": set(),
    "metrics": set(),
    "checks": {"candidate_table", "exif", "gazetteer"},
    "data": {"candidate_table", "candidates", "exif", "georanking"},
    "retrievers": {"hparams", "looks", "pretrained", "schedules"},
    "generators": {"candidate_table"},
    "report": {"answers", "gazetteer"},
    "localizing": {"answers", "exif", "gazetteer", "pretrained"},
    "training_lists": {"candidates", "gazetteer", "georanking"},
    "callbacks": {"answers", "candidate_table", "ranker"},
    "verbs": {"candidates", "checkpoint", "cli", "config_files", "gazetteer", "localizer", "stages"},
}


def folder(room: str) -> Path:
    return ROOT / room if room == "callbacks" else ROOT / "georanker" / room


def imported(path: Path) -> set[str]:
    """Return the names below georanker that a file imports, type checking included."""
    parents = path.parent.relative_to(ROOT).parts
    package = ["georanker", *parents] if parents[0] == "callbacks" else list(parents)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else []
            found |= {".".join([*start, *filter(None, [node.module]), name.name]) for name in node.names}
    return {name.split(".")[1] for name in found if name.startswith("georanker.")}


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import georanker.answers", "answers"),
        ("from georanker import answers", "answers"),
        ("from georanker.answers import row", "answers"),
        ("from ..answers import row", "answers"),
        ("from .. import answers", "answers"),
        ("from .base import RankingLoss", "losses"),
        ("from . import base", "losses"),
    ],
)
def test_each_form_of_import_is_seen(line: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "georanker/losses").mkdir(parents=True)
    (tmp_path / "georanker/losses/new.py").write_text(line)
    assert imported(tmp_path / "georanker/losses/new.py") == {name}


def test_each_room_has_its_rule() -> None:
    assert SEES.keys() == {path.parent.name for path in (ROOT / "georanker").glob("*/__init__.py")} | {"callbacks"}


@pytest.mark.parametrize("room", SEES)
def test_rooms_lean_only_on_whom_they_may(room: str) -> None:
    allowed = {room} | GROUND | SEES[room] | BEYOND.get(room, set())
    for path in folder(room).glob("*.py"):
        assert imported(path) <= allowed, path


def test_nobody_imports_callbacks_or_configs() -> None:
    for path in (ROOT / "georanker").rglob("*.py"):
        assert not imported(path) & {"callbacks", "configs"}, path


def test_the_map_names_each_file_and_room() -> None:
    (house,) = re.findall(r"```\n(georanker/\n.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    for path in (ROOT / "georanker").glob("[!_]*"):
        if path.suffix == ".py" or (path / "__init__.py").exists():
            assert path.name in house, path
    assert all(f"  {room}/" in house for room in SEES if room != "callbacks")


def test_types_and_geodesy_stand_on_the_ground() -> None:
    assert not imported(ROOT / "georanker/types.py")
    assert not imported(ROOT / "georanker/geodesy.py")


@pytest.mark.parametrize("path", SOURCES + TESTS_AND_BENCHMARKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350


def test_packages_are_the_folders_on_disk() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = {
        "georanker" if path.parent == ROOT / "georanker" else f"georanker.{path.parent.name}"
        for path in (ROOT / "georanker").rglob("__init__.py")
    }
    assert set(project["tool"]["setuptools"]["packages"]) == folders | {"georanker.callbacks", "georanker.configs"}


def test_each_room_exports_its_classes() -> None:
    for room in rooms():
        module = __import__(f"georanker.{room}", fromlist=["_"])
        for found in classes(f"georanker.{room}"):
            assert getattr(module, found.__name__) is found
        with pytest.raises(AttributeError, match="NoSuchClass"):
            module.NoSuchClass  # noqa: B018


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.name not in ("base.py", "types.py")],  # contracts, and the vocabulary
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_one_public_class_a_file(path: Path) -> None:
    public = [
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not node.name.endswith("Error")
    ]
    assert len(public) <= 1, f"{path} holds {public}"


def test_data_never_runs_code() -> None:
    forbidden = re.compile(
        r"\bpickle\.loads?\(|[^.\w]eval\(|[^.\w]exec\(|weights_only=False|allow_pickle=True|trust_remote_code=True"
    )
    for path in MODULES:
        found = forbidden.findall(path.read_text())
        assert not found, f"{path}: {found}"


def test_files_are_written_beside_their_place() -> None:
    for path in SOURCES:
        for line in path.read_text().splitlines():
            if re.search(r'\.write_(text|bytes)\(|\.open\("[wax]', line):
                assert re.search(r"\bpart\b", line), f"{path}: {line.strip()}"


def test_import_is_light() -> None:
    code = (
        "import sys, georanker, georanker.cli; print([m for m in ('torch', 'lightning', 'faiss') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_heavy_imports_wait() -> None:
    heavy = {"transformers", "peft", "faiss", "matplotlib"}
    subclasses_transformers = ROOT / "georanker/vlm/image_only.py"  # is imported by a function itself
    for path in MODULES:
        for node in ast.parse(path.read_text()).body if path != subclasses_transformers else []:
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not heavy & {name.split(".")[0] for name in names}, f"{path} imports {names} at its top"


def test_requirements_give_reasons() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    lines = re.findall(r'^\s*"[\w\[\]-]+>=[^"]+",.*$', text, re.MULTILINE)
    assert len(lines) > 15
    for line in lines:
        assert "#" in line, f"no reason: {line.strip()}"


def test_the_wheel_carries_code_configs_and_types(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("georanker", "callbacks", "configs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    for folder, inside in (("georanker", "georanker"), ("callbacks", "georanker/callbacks")):
        assert {
            f"{inside}/{path.relative_to(source / folder).as_posix()}" for path in (source / folder).rglob("*.py")
        } <= held
    configs = {
        f"georanker/configs/{path.relative_to(source / 'configs').as_posix()}"
        for path in (source / "configs").rglob("*.yaml")
    }
    assert len(configs) > 10
    assert configs <= held
    assert "georanker/py.typed" in held
    assert not [name for name in held if name.startswith("tests")]
