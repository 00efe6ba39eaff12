"""Features of photos that come again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from georanker.backbones.vlm import VLMBackbone
from georanker.ranker import Ranker
from georanker.types import RankingBatch
from tests.tiny_vlms import FAMILIES
from tests.vlm_world import NOT_SHARED, Album, awaken, scored, some_lists

Tiny = Callable[[str], Path]
pytestmark = pytest.mark.filterwarnings(NOT_SHARED)


def kept(batch: RankingBatch) -> int:
    return sum(name.endswith(".level0") for name in batch.inputs)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_scores_are_the_same(family: str, tiny: Tiny, tmp_path: Path) -> None:
    lists = some_lists(Album())
    plain = awaken(VLMBackbone(str(tiny(family)))).eval()
    first = awaken(VLMBackbone(str(tiny(family)), feature_cache=tmp_path)).eval()
    expected = scored(plain, lists)
    torch.testing.assert_close(scored(first, lists), expected, rtol=0, atol=1e-6)
    again = awaken(VLMBackbone(str(tiny(family)), feature_cache=tmp_path)).eval()  # as in a later run
    assert kept(again.collator(lists)) > 0
    torch.testing.assert_close(scored(again, lists), expected, rtol=0, atol=1e-6)


def test_only_candidates_are_kept_and_the_tower_rests(tiny: Tiny, tmp_path: Path) -> None:
    album = Album()
    lists = [some_lists(album)[0]]
    backbone = awaken(VLMBackbone(str(tiny("qwen2_vl")), feature_cache=tmp_path)).eval()
    scored(backbone, lists)
    batch = backbone.collator(lists)
    assert kept(batch) == 2  # two of the four candidates have a photo
    looked: list[int] = []
    backbone.model.base_model.visual.register_forward_hook(lambda *_: looked.append(1))
    backbone(batch)
    assert len(looked) == 1  # at the photo that is asked about
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 2


def test_what_changes_features_changes_their_names(tiny: Tiny, tmp_path: Path) -> None:
    lists = some_lists(Album())
    ways: list[dict[str, int]] = [{}, {"reencode_jpeg": 75}, {"max_pixels": 3136}]
    for number, settings in enumerate(ways):
        backbone = VLMBackbone(str(tiny("qwen2_vl")), feature_cache=tmp_path, **settings).eval()  # type: ignore[arg-type]
        assert kept(backbone.collator(lists)) == 0, number
        scored(backbone, lists)
        assert kept(backbone.collator(lists)) > 0, number
    other = VLMBackbone(str(tiny("qwen2_5_vl")), feature_cache=tmp_path)
    assert kept(other.collator(lists)) == 0


def test_the_budget_holds(tiny: Tiny, tmp_path: Path) -> None:
    lists = some_lists(Album())

    def written(folder: Path, budget_gb: float) -> int:
        backbone = awaken(VLMBackbone(str(tiny("qwen2_vl")), feature_cache=folder, feature_cache_gb=budget_gb)).eval()
        for _ in range(2):
            scored(backbone, lists)
        return sum(path.stat().st_size for path in folder.glob("*/*.safetensors"))

    whole = written(tmp_path / "whole", 1.0)
    assert written(tmp_path / "none", 1e-9) == 0
    assert 0 < written(tmp_path / "half", whole / 2 / 1e9) <= whole / 2


def test_a_full_folder_is_not_counted_for_each_photo(tiny: Tiny, tmp_path: Path) -> None:
    class Folder(type(tmp_path)):  # type: ignore[misc]
        counts = 0

        def glob(self, pattern: str) -> Iterator[Path]:
            Folder.counts += 1
            found: Iterator[Path] = super().glob(pattern)
            return found

    lists = some_lists(Album())
    backbone = awaken(VLMBackbone(str(tiny("qwen2_vl")), feature_cache=tmp_path, feature_cache_gb=1e-9)).eval()
    assert backbone.store is not None
    backbone.store.folder = Folder(tmp_path)
    for _ in range(8):
        scored(backbone, lists)
    assert Folder.counts == 1


@pytest.mark.parametrize("budget", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_that_cannot_be(budget: float, tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="feature_cache_gb must be above 0 and finite"):
        VLMBackbone(str(tiny("qwen2_vl")), feature_cache=tmp_path, feature_cache_gb=budget)


def test_mixed_precision_keeps_the_same_features(tiny: Tiny, tmp_path: Path) -> None:
    """A run in bf16-mixed and one in float32 share a folder: the tower keeps to its own precision in both."""
    lists = some_lists(Album())
    plain = awaken(VLMBackbone(str(tiny("qwen2_vl")))).eval()
    expected = scored(plain, lists)
    with torch.autocast("cpu", torch.bfloat16):
        scored(awaken(VLMBackbone(str(tiny("qwen2_vl")), feature_cache=tmp_path)).eval(), lists)
    again = awaken(VLMBackbone(str(tiny("qwen2_vl")), feature_cache=tmp_path)).eval()
    assert kept(again.collator(lists)) > 0
    torch.testing.assert_close(scored(again, lists), expected, rtol=0, atol=1e-6)


def test_a_saved_ranker_does_not_name_the_folder(tiny: Tiny, tmp_path: Path) -> None:
    Ranker(VLMBackbone(str(tiny("qwen2_vl")), feature_cache=tmp_path / "kept")).save_pretrained(tmp_path / "saved")
    assert str(tmp_path) not in (tmp_path / "saved" / "ranker.yaml").read_text().replace(str(tiny("qwen2_vl")), "")
    assert isinstance(Ranker.from_pretrained(tmp_path / "saved").backbone, VLMBackbone)


def test_a_broken_file_is_written_again(tiny: Tiny, tmp_path: Path) -> None:
    lists = some_lists(Album())
    backbone = awaken(VLMBackbone(str(tiny("qwen2_vl")), feature_cache=tmp_path)).eval()
    expected = scored(backbone, lists)
    files = list(tmp_path.glob("*/*.safetensors"))
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[: len(whole) // 2])
    torch.testing.assert_close(scored(backbone, lists), expected)
    assert files[0].read_bytes() == whole
    assert not list(tmp_path.glob("*/.*"))
