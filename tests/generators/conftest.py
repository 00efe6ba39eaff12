"""Miniatures, and what guesses about them come to when nothing disturbs."""

from __future__ import annotations

from pathlib import Path

import pytest

from georanker.cli import main
from tests.generators.chat_stand_in import chat_server
from tests.generators.generate_world import answers, flags
from tests.miniatures import Miniatures, write_miniatures


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Miniatures:
    return write_miniatures(tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def undisturbed(files: Miniatures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    with chat_server(answers) as server:
        main(flags(files, server, out))
    return out
