"""A server that guesses, and the command that asks it."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from tests.generators.chat_stand_in import ChatServer, Reply, completion
from tests.miniatures import Miniatures

FORMS = ('{{"latitude": {0}, "longitude": {1}}}', "I cannot tell.", '{{"latitude": 0.0, "longitude": 0.0}}')


def shown(body: dict[str, Any]) -> int:
    """What the photo of a request looks like, in one number."""
    content = body["messages"][0]["content"]
    (url,) = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    with Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))) as image:
        return int(np.asarray(image).astype(int).sum())


def answers(body: dict[str, Any]) -> Reply:
    """The same for the same photo: a place, no place, and (0, 0), in turns."""
    seed = shown(body)
    random = np.random.default_rng(seed)
    told = [
        FORMS[(seed + at) % 3].format(round(random.uniform(-60, 60), 4), round(random.uniform(-180, 180), 4))
        for at in range(body["n"])
    ]
    return completion(*told)


def flags(files: Miniatures, server: ChatServer, out: Path, *more: str) -> list[str]:
    data = ["--data=IM2GPS3K", f"--data.table={files.im2gps3k}", f"--data.photos={files.im2gps3k_photos}"]
    chat = ["--generator=ChatGenerator", "--generator.model=m", f"--generator.url={server.url}"]
    few = ["--generator.samples=4", "--generator.at_once=2", "--generator.retries=0"]
    return ["generate", *data, *chat, *few, f"--out={out}", *more]


def same_files(out: Path, expected: Path) -> None:
    for name in ("test.parquet", "test.answers.parquet"):
        assert pq.read_table(out / name).equals(pq.read_table(expected / name))
    assert sorted(path.name for path in out.iterdir()) == ["test.answers.parquet", "test.parquet"]
