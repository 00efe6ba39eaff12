"""A small Earth, so that rendering takes milliseconds, and small public files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from georanker.data import blue_marble_tiles
from tests.miniatures import Miniatures, write_miniatures


@pytest.fixture(scope="session")
def earth_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blue Marble, a twelfth as wide."""
    file = tmp_path_factory.mktemp("earth") / "bmng.png"
    with Image.open(blue_marble_tiles.package_file("bmng.jpg")) as image:
        image.draft("RGB", (675, 337))
        image.resize((450, 225)).save(file)
    return file


@pytest.fixture
def small_earth(earth_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lets tiles be cut from the small Earth."""
    whole = blue_marble_tiles.package_file
    monkeypatch.setattr(
        blue_marble_tiles, "package_file", lambda name: earth_file if name == "bmng.jpg" else whole(name)
    )
    return earth_file


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Miniatures:
    """The public files, small."""
    return write_miniatures(tmp_path_factory.mktemp("paper"))


@pytest.fixture
def rows(paper: Miniatures) -> list[dict[str, Any]]:
    """The rows of GeoRanking.parquet, to be changed."""
    found: list[dict[str, Any]] = pq.read_table(paper.georanking).to_pylist()
    return found
