"""A push to the hub and back, through huggingface_hub's own client, against a stand-in of the hub on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from georanker.localizer import Localizer
from georanker.types import GeorankerError
from tests.conftest import ROOT
from tests.hub_stand_in import TOKEN, hub
from tests.localizer_world import encoded, finished_run, tile

ROUND_TRIP = """
import json, sys
from georanker import Localizer
run, photo = sys.argv[1:]
localizer = Localizer.from_run(run)
print(localizer.push_to_hub("someone/small", private=True))
again = Localizer.from_pretrained("someone/small")
print(json.dumps([each.localize(photo, top_k=8).to_dict() for each in (localizer, again)]))
"""


@pytest.fixture(scope="module")
def run(small_run: Path) -> Path:
    return finished_run(small_run)


def test_a_push_and_back_gives_the_same_answers(run: Path, small_run: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(encoded(tile(small_run)))
    with hub() as there:
        environment = {
            **os.environ,
            "HF_ENDPOINT": there.address,  # read when huggingface_hub is imported, so in a process of its own
            "HF_TOKEN": TOKEN,
            "HF_HOME": str(tmp_path / "home"),
            "TMPDIR": str(tmp_path),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "no_proxy": "127.0.0.1",
        }
        command = [sys.executable, "-W", "error::UserWarning:huggingface_hub", "-c", ROUND_TRIP, str(run), str(photo)]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert TOKEN not in done.stdout + done.stderr
    address, answers = done.stdout.splitlines()
    assert address.startswith(f"{there.address}/someone/small/commit/")
    before, after = json.loads(answers)
    assert before == after
    files = there.repos["someone/small"]
    assert b'Localizer.from_pretrained("someone/small")' in files["README.md"]
    assert {"retriever.safetensors", "backbone.safetensors", "localizer.yaml", "gallery/embeddings.npy"} <= set(files)
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 10, "the download is kept"
    assert not any(TOKEN.encode() in data for data in [*written, *files.values()])
    assert ("PUT", "") in {(request[:3], token) for request, token in there.seen}, (
        "large files go the way of large files"
    )


def test_without_a_token_nothing_is_asked(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", " ")
    with hub() as there:
        with pytest.raises(GeorankerError, match=r"^someone/small: set the environment variable HF_TOKEN"):
            Localizer.from_run(run).push_to_hub("someone/small", endpoint=there.address)
        assert not there.seen


def test_a_refusal_is_one_line(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "another")
    localizer = Localizer.from_run(run)
    with hub() as there:
        for name in ("someone/small", "not a name/at/all"):
            with pytest.raises(GeorankerError, match=f"^{name}: the hub did not take it") as told:
                localizer.push_to_hub(name, endpoint=there.address)
            assert "\n" not in str(told.value)
            assert "another" not in str(told.value)
        assert not there.repos
    with pytest.raises(GeorankerError, match=r"^someone/small: the hub did not take it"):
        localizer.push_to_hub("someone/small", endpoint=there.address)  # which is gone
    assert localizer.gallery.folder == run / "gallery"
