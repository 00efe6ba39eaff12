"""What the README says is true: its commands parse, its Python runs, its table of rooms is the tree."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import shlex
import zipfile
from pathlib import Path

import pytest
from lightning.pytorch.callbacks import Callback

from georanker.candidates import write_candidates
from georanker.cli import TRAINER_COMMANDS, _verbs, main, run_trainer
from georanker.data.im2gps3k import IM2GPS3K
from georanker.discovery import classes
from tests.conftest import ROOT
from tests.localizer_world import finished_run
from tests.miniatures import write_miniatures

TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", TEXT, re.S)
COMMANDS = [
    line.split("#")[0].strip() for block in BLOCKS for line in block.replace("\\\n", " ").splitlines() if line.strip()
]


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("georanker")])
def test_commands_parse(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    _, verb, *args = shlex.split(command)
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), pytest.raises(SystemExit) as exit_:
        main([verb, *args, "--print_config"])
    assert exit_.value.code == 0
    assert shown.getvalue()


def test_the_other_commands_are_make_or_scripts() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for command in COMMANDS:
        program, *args = shlex.split(command)
        if program == "make":
            assert all(f"\n{target}:" in makefile for target in args)
        elif program == "source":
            assert args == [".venv/bin/activate"]
        elif program == "python":
            assert (ROOT / args[0]).exists()
        else:
            assert program == "georanker"


def test_python_runs(small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    Path("runs/demo").symlink_to(finished_run(small_run))
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        for code in re.findall(r"```python\n(.*?)```", TEXT, re.S):
            exec(compile(code.replace("test_size=2000", "test_size=2"), "README.md", "exec"), {"__name__": "readme"})
    assert "acc@25km" in shown.getvalue()
    assert "tile.png" in shown.getvalue()
    assert Path("portrait.png").exists()


def test_the_benchmark_of_ten_lines_is_ranked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", TEXT, re.S) if "class Streets" in block]
    assert len([line for line in code.splitlines() if line]) <= 10
    Path("streets.py").write_text(code)
    mini = write_miniatures(tmp_path / "dataset")
    lists = IM2GPS3K(mini.im2gps3k, mini.im2gps3k_photos).lists("test")
    write_candidates(tmp_path / "mine/test.parquet", lists, "", None)
    rows = [
        f"{each.photo.id},{each.photo.place.latitude},{each.photo.place.longitude},T"
        for each in lists
        if each.photo.place
    ]
    Path("data").mkdir()
    Path("data/test.csv").write_text("\n".join(["id,latitude,longitude,town", *rows]))
    with zipfile.ZipFile("data/photos.zip", "w") as archive:
        for photo in mini.im2gps3k_photos.glob("*.jpg"):
            archive.write(photo, photo.name)
    ranker = ["--model=Ranker", "--model.backbone=ConsensusBackbone", f"--trainer={ROOT / 'configs/trainer/cpu.yaml'}"]
    data = ["--data=streets.Streets", "--data.root=data", "--data.candidates=mine"]
    trainer = run_trainer(["test", *data, *ranker, "--trainer.logger=False"]).trainer
    assert "test/ranked/acc@200km" in trainer.callback_metrics


def test_the_table_of_rooms_is_the_tree() -> None:
    """All that a YAML can name in a room stands in its row, and nothing that is not there."""
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", TEXT, re.M)
    assert len(rows) > 5
    for room, listed in rows:
        here = list(classes(f"georanker.{room}"))
        contract = (Callback, *(found for found in here if found.__module__ == f"georanker.{room}.base"))
        parts = {found.__name__ for found in here if issubclass(found, contract) and not inspect.isabstract(found)}
        named = set(re.findall(r"`(\w+)`", listed))
        assert parts <= named, f"{room}: the README lacks {parts - named}"
        assert named <= {found.__name__ for found in here}, room


def test_links_lead_somewhere() -> None:
    documents = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    links = [
        (document, target)
        for document in documents
        for target in re.findall(r"\]\(((?!https?:)[^)#]+)\)", document.read_text())
    ]
    assert links
    for document, target in links:
        assert (document.parent / target).exists(), f"{document.name} points to {target}"


def test_all_commands_are_explained() -> None:
    for command in (*TRAINER_COMMANDS, *_verbs()):
        assert re.search(rf"\b(georanker|make) {command}\b", TEXT), command
