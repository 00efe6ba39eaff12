"""Photos that cannot be read and prompts that are too long: what a run passes over, and what stops it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from georanker.backbones.vlm import VLMBackbone
from georanker.candidates import CandidatesFile
from georanker.types import Candidate, CandidateList, GeorankerError, Photo, Place
from georanker.vlm.unread import Unread
from tests.vlm.test_vlm_bad_input import copied, mistake
from tests.vlm.test_vlm_broken_photos import damaged
from tests.vlm_runs import vlm_config
from tests.vlm_world import Album, some_lists, token_ids

Tiny = Callable[[str], Path]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_prompt_longer_than_the_context(
    workers: int, small_data: list[str], tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = copied(tiny, tmp_path / "model") / "config.json"
    config = json.loads(settings.read_text())
    config["text_config"]["max_position_embeddings"] = 64
    settings.write_text(json.dumps(config))
    run = vlm_config(tmp_path, tmp_path / "model")
    said = mistake(capsys, "fit", run, *small_data, f"--data.num_workers={workers}")
    assert said.startswith("photo train/48-")
    assert "tokens, but the model takes 64; set a smaller max_pixels, or a prompt with fewer negatives" in said


def test_scoring_passes_over_a_prompt_that_is_too_long(tiny: Tiny) -> None:
    backbone = VLMBackbone(str(tiny("llava")))
    lists = some_lists(Album())
    whole = backbone.collator(lists)
    lengths = whole.inputs["lengths"]
    longest = int(lengths.max())
    assert max(map(len, token_ids(whole))) == longest
    backbone.unread = Unread(longest - 1)
    batch = backbone.collator(lists)
    left = whole.mask & (lengths < longest)
    assert torch.equal(backbone.trainable(batch), left)
    with pytest.raises(GeorankerError, match=rf"^photo query: the prompt about \[.* has {longest} tokens, .*; set a"):
        backbone.train()(batch)
    with pytest.warns(UserWarning, match=f"the model takes {longest - 1}; what needs it ranks last") as told:
        scores = backbone.eval()(batch)
    assert len(told) == int((lengths == longest).any(1).sum())
    assert torch.equal(scores.isfinite(), left)
    torch.testing.assert_close(scores[left], backbone(whole)[left], atol=1e-5, rtol=1e-4)


def test_a_photo_without_a_source_is_a_setting(tiny: Tiny) -> None:
    collator = VLMBackbone(str(tiny("llava"))).collator
    found = some_lists(Album())[0]
    with pytest.raises(GeorankerError, match=r"^photo here: no source holds its bytes; set data\.photos, and"):
        collator([replace(found, photo=Photo("here"))])
    bare = Candidate(Place(1.0, 2.0), photo=Photo("there"))
    with pytest.raises(GeorankerError, match=r"^photo there: no source holds its bytes"):
        collator([replace(found, candidates=(*found.candidates, bare))])


@pytest.mark.filterwarnings("ignore:.*what needs it ranks last", "ignore:the backbone scored candidates NaN")
def test_answers_without_any_photo_do_not_stay(
    small_run: Path, small_data: list[str], tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = CandidatesFile(small_run / "candidates" / "test.parquet")[:]
    gallery = sorted({each.photo.id for found in lists for each in found.candidates if each.photo})
    often = ["--data.batch_size=4", "--trainer.callbacks.photos_a_shard=1"]
    config = [vlm_config(tmp_path, tiny("qwen2_vl")), *damaged(gallery), *small_data, *often]
    assert mistake(capsys, "predict", *config).startswith("of the first 20 photos no candidate with a photo could be")
    assert [path.name for path in (tmp_path / "predictions.parts").iterdir()] == ["origin.json"]
    assert not (tmp_path / "predictions.parquet").exists()


def with_gallery(album: Album, *names: str) -> CandidateList:
    candidates = [Candidate(Place(1.0, 2.0), photo=album.photo(name)) for name in names]
    return CandidateList(album.photo("query"), (*candidates, Candidate(Place(3.0, 4.0), source="generated")))


@pytest.mark.filterwarnings("ignore:photo lost.*what needs it ranks last")
@torch.no_grad()
def test_a_run_stops_where_no_photo_of_the_gallery_can_be_read(tiny: Tiny) -> None:
    backbone = VLMBackbone(str(tiny("llava"))).eval()
    album = Album()
    lost = backbone.collator([with_gallery(album, "lost1", "lost2")] * 10)
    assert backbone(lost)[:, 2].isfinite().all()
    with pytest.raises(GeorankerError, match=r"^of the first 20 photos no candidate with .* data\.gallery_photos"):
        backbone(lost)

    other = VLMBackbone(str(tiny("llava"))).eval()
    other(lost)
    other(backbone.collator([with_gallery(album, "lost1", "there")]))
    for _ in range(3):
        other(lost)
