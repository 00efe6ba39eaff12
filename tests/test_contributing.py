"""The recipes of CONTRIBUTING.md: each is one new file, and its command works."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from georanker.data.base import GeoDataModule
from georanker.types import Place
from tests.conftest import ROOT
from tests.test_configs import with_tiny_vlm

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = re.findall(
    r"^## (A \w+)\n\n[^`]*`((?:georanker/)?\w+)/(\w+)\.py`.*?```python\n(.*?)```.*?```bash\n(.*?)```", TEXT, re.S | re.M
)
CONFIG = re.search(
    r"^## A VLM\n\n[^`]*`(configs/backbone/(\w+)\.yaml)`.*?```yaml\n(.*?)```.*?```bash\n(.*?)```", TEXT, re.S | re.M
)
# What a new file in the repository would be: one more folder in which a room looks for its modules.
WITH_NEW_FILE = """
import importlib, sys
room, folder, *args = sys.argv[1:]
importlib.import_module(room).__path__.append(folder)
"""


def test_five_recipes_of_at_most_fifteen_lines() -> None:
    assert [name for name, *_ in RECIPES] == ["A loss", "A backbone", "A benchmark", "A generator", "A callback"]
    for name, _, _, code, _ in RECIPES:
        assert len(code.splitlines()) <= 15, name


@pytest.mark.parametrize(("name", "room", "module", "code", "command"), RECIPES, ids=lambda value: str(value)[:12])
def test_recipe(
    name: str, room: str, module: str, code: str, command: str, small_data: list[str], tmp_path: Path
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    (new / f"{module}.py").write_text(f'"""One new file."""\n\n{code}')
    program, *args = shlex.split(command)
    assert program == "georanker"
    trainer = [f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=False", "--trainer.max_epochs=1"]
    flags = trainer if name == "A benchmark" else [*small_data, *trainer]
    if name == "A generator":
        flags = [*small_data, f"--out={tmp_path}"]
    run = "from georanker.cli import main; main(args)"
    full = [
        *(sys.executable, "-c", WITH_NEW_FILE + run),
        "georanker." + room.removeprefix("georanker/"),
        str(new),
        *args,
        *flags,
    ]
    done = subprocess.run(full, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if name == "A benchmark":
        described: dict[str, type[GeoDataModule]] = {}
        exec(compile(code, module, "exec"), described)
        photos = described["TwoTowers"]().photos("test")
        assert [photo.id for photo in photos] == ["eiffel", "cn"]
        assert photos[0].place == Place(48.8584, 2.2945)
    shown = {
        "A benchmark": "TwoTowers",
        "A callback": "3 steps",
        "A backbone": "test/ranked/acc@200km",
        "A generator": "240 of 240 answers name a place",
    }
    assert shown.get(name, "") in done.stdout


def test_a_vlm_is_one_new_config(small_data: list[str], tiny: Callable[[str], Path], tmp_path: Path) -> None:
    assert CONFIG
    file, family, content, command = CONFIG.groups()
    assert len(content.splitlines()) + len(command.splitlines()) <= 15
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / file).write_text(content)
    program, *args = shlex.split(command)
    assert program == "georanker"
    kept = [flag for flag in small_data if not flag.startswith("--data.batch_size")]
    flags = [*kept, *with_tiny_vlm(tiny(family)), "--trainer.logger=False", "--trainer.fast_dev_run=1"]
    full = [sys.executable, "-c", "import sys; from georanker.cli import main; main(sys.argv[1:])", *args, *flags]
    done = subprocess.run(full, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "train/loss" in done.stdout


def test_the_law_tests_find_a_new_loss(tmp_path: Path) -> None:
    _, _, module, code, _ = RECIPES[0]
    (tmp_path / f"{module}.py").write_text(f'"""One new file."""\n\n{code}')
    run = "import pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '-k', 'FarthestLast', *args]))"
    full = [sys.executable, "-c", WITH_NEW_FILE + run, "georanker.losses", str(tmp_path), "tests/losses/test_laws.py"]
    done = subprocess.run(full, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) >= 10
