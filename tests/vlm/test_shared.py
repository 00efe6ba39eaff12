"""What candidates share is computed once, and changes no number."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from georanker.backbones.vlm import VLMBackbone
from georanker.types import Candidate
from georanker.vlm import joined_attention
from georanker.vlm.language import Prompts, last_hidden
from georanker.vlm.language_model import _full_portions, _shared_portions
from georanker.vlm.shared import shared_tokens
from georanker.vlm.shared_list import SharedList
from tests.tiny_vlms import FAMILIES, tiny_vlm
from tests.vlm_world import NOT_SHARED, Album, awaken, scored, some_lists

Tiny = Callable[[str], Path]
LINEAR = ("qwen3_5",)  # its linear attention keeps a state, which no row of several prompts can hold


@pytest.mark.filterwarnings(NOT_SHARED)
@pytest.mark.parametrize("family", FAMILIES)
def test_who_shares(family: str, tiny: Tiny) -> None:
    backbone = awaken(VLMBackbone(str(tiny(family)))).eval()
    scored(backbone, some_lists(Album()))
    assert backbone.language.shares == (family not in LINEAR)


def test_who_cannot_share_says_so_once(tiny: Tiny) -> None:
    backbone = awaken(VLMBackbone(str(tiny("qwen3_5")))).eval()
    lists = some_lists(Album())
    with pytest.warns(UserWarning, match="qwen3_5.*computed for each of them, since some of its layers do more"):
        first = scored(backbone, lists)
    torch.testing.assert_close(scored(backbone, lists), first)  # and pytest makes an error of a second warning


def test_attention_that_does_more_is_told_and_not_shared(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one with sinks: its keyword reaches our attention, which does not know what to do with it."""
    backbone = awaken(VLMBackbone(str(tiny("qwen2_vl")))).eval()
    plain = awaken(VLMBackbone(str(tiny("qwen2_vl")), share=False)).eval()
    for layer in backbone.model.get_decoder().layers:
        usual = layer.self_attn.forward
        monkeypatch.setattr(layer.self_attn, "forward", functools.partial(usual, s_aux=torch.ones(4)))
    lists = some_lists(Album())
    with pytest.warns(UserWarning, match="computed for each of them, since its attention asks for s_aux"):
        found = scored(backbone, lists)
    torch.testing.assert_close(found, scored(plain, lists), rtol=0, atol=1e-5)


def test_code_that_cannot_read_a_row_is_told_and_not_shared(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = awaken(VLMBackbone(str(tiny("qwen2_vl")))).eval()
    plain = awaken(VLMBackbone(str(tiny("qwen2_vl")), share=False)).eval()
    usual = backbone.model.get_decoder().forward

    def picky(*args: object, georanker_layout: object = None, **kwargs: object) -> object:
        if georanker_layout is not None:
            raise RuntimeError("a row is not what I know\nand more")
        return usual(*args, **kwargs)

    monkeypatch.setattr(backbone.model.get_decoder(), "forward", picky)
    lists = some_lists(Album())
    with pytest.warns(UserWarning, match=r"cannot read them side by side \(a row is not what I know\)$"):
        found = scored(backbone, lists)
    torch.testing.assert_close(found, scored(plain, lists), rtol=0, atol=1e-5)


def test_what_longer_prompts_show_is_seen(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that sees far back in another way: the first prompts are too short to tell."""
    backbone = awaken(VLMBackbone(str(tiny("qwen2_vl")))).eval()
    lists = some_lists(Album())
    short = int(backbone.collator([lists[2]]).inputs["lengths"].max())
    usual = joined_attention.attend_and_join

    def near_sighted(query: torch.Tensor, *rest: Any) -> torch.Tensor:
        found = usual(query, *rest)
        return found if query.shape[1] < 4 * short else found.flip(0)

    monkeypatch.setattr("georanker.vlm.shared_attention.attend_and_join", near_sighted)
    scored(backbone, [lists[2]])
    assert backbone.language.shares
    long = dataclasses.replace(lists[2], candidates=tuple(_with_long_name(each, short) for each in lists[2].candidates))
    with pytest.warns(UserWarning, match="its states would be off by"):
        scored(backbone, [long])
    assert not backbone.language.shares


def _with_long_name(candidate: Candidate, tokens: int) -> Candidate:
    return dataclasses.replace(candidate, place=dataclasses.replace(candidate.place, city="far " * 3 * tokens))


def test_fewer_tokens_are_computed(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = some_lists(Album())
    read: dict[bool, int] = {}
    for share in (True, False):
        backbone = awaken(VLMBackbone(str(tiny("qwen2_vl")), share=share)).eval()
        scored(backbone, lists)  # the first call compares both ways
        layer = backbone.model.get_decoder().layers[0]
        seen: list[int] = []
        with monkeypatch.context() as patch:
            patch.setattr(layer, "forward", _counted(layer.forward, seen))
            scored(backbone, lists)
        read[share] = sum(seen)
    lengths = VLMBackbone(str(tiny("qwen2_vl"))).collator(lists).inputs["lengths"]
    assert read[True] < 0.8 * int(lengths.sum()) <= 0.8 * read[False]


@pytest.mark.parametrize("family", ["qwen2_vl", "gemma3", "qwen3_vl"])
def test_long_rests_are_read_in_blocks(family: str, tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a block holds: where the tokens of a photo see each other, they may lie in several."""
    lists = some_lists(Album())
    plain = awaken(VLMBackbone(str(tiny(family)), share=False)).eval()
    monkeypatch.setattr("georanker.vlm.shared_attention._BLOCK", 3)
    monkeypatch.setattr("georanker.vlm.shared_attention.kernel_for", lambda *_: None)
    backbone = awaken(VLMBackbone(str(tiny(family)))).eval()
    torch.testing.assert_close(scored(backbone, lists), scored(plain, lists), rtol=0, atol=1e-5)
    assert backbone.language.shares


def test_the_last_layer_reads_the_last_tokens_only(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = some_lists(Album())
    backbone = awaken(VLMBackbone(str(tiny("qwen2_vl")))).eval()
    scored(backbone, lists)
    read: list[list[int]] = [[], []]
    for layer, seen in zip(backbone.model.get_decoder().layers, read, strict=True):
        for part in (layer.self_attn.q_proj, layer.self_attn.o_proj, layer.mlp.gate_proj):
            monkeypatch.setattr(part, "forward", _counted(part.forward, seen))
    scored(backbone, lists)
    assert read[1] == [sum(map(len, lists))] * 3
    assert read[0][0] > 3 * read[1][0]


def test_mixed_precision_runs_too(tiny: Tiny) -> None:
    lists = some_lists(Album())
    shared, plain = (awaken(VLMBackbone(str(tiny("qwen2_vl")), share=share)).eval() for share in (True, False))
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = scored(shared, lists), scored(plain, lists)
    assert shared.language.shares
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05)


def _counted(forward: Callable[..., object], seen: list[int]) -> Callable[..., object]:
    def wrapped(hidden: torch.Tensor, *args: object, **kwargs: object) -> object:
        seen.append(hidden.shape[0] * hidden.shape[1])
        return forward(hidden, *args, **kwargs)

    return wrapped


def test_a_window_shorter_than_the_prompt(tmp_path: Path) -> None:
    folder = tiny_vlm("gemma3", tmp_path / "gemma3")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["sliding_window"] = 16
    (folder / "config.json").write_text(json.dumps(config))
    lists = some_lists(Album())
    shared, plain = (awaken(VLMBackbone(str(folder), share=share)).eval() for share in (True, False))
    torch.testing.assert_close(scored(shared, lists), scored(plain, lists), rtol=0, atol=1e-5)
    assert shared.language.shares
    wide = awaken(VLMBackbone(str(tiny_vlm("gemma3", tmp_path / "wide")))).eval()
    assert (scored(wide, lists) - scored(shared, lists)).abs().max() > 1e-3  # the window does something


@pytest.mark.parametrize("family", ["qwen2_vl", "gemma3"])
def test_whoever_else_uses_the_model_meets_its_usual_attention(family: str, tiny: Tiny) -> None:
    lists = some_lists(Album())
    shared, plain = (VLMBackbone(str(tiny(family)), share=share).eval() for share in (True, False))
    batch = plain.collator(lists)
    there = batch.inputs["lengths"] > 0
    prompts = Prompts(batch.inputs["ids"][there], batch.inputs["rows"][there], batch.inputs["lengths"][there])
    states = []
    with torch.no_grad():
        for backbone in (shared, plain):
            features = backbone._features(batch)
            states.append(last_hidden(backbone.model.base_model, prompts, features))
    torch.testing.assert_close(*states)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in LINEAR])
def test_in_bfloat16_only_what_is_near_changes_places(family: str, tiny: Tiny) -> None:
    lists = some_lists(Album())
    made = [VLMBackbone(str(tiny(family)), dtype="bfloat16", share=share).eval() for share in (True, False)]
    shared, plain = (scored(awaken(backbone), lists) for backbone in made)
    assert made[0].language.shares
    # A head of N(0, 1) on H states of about 1, each off by some 2^-8 of itself after two layers.
    resolution = (
        4 * 2**-8 * float(plain.abs().max().clamp(min=made[1].model.config.get_text_config().hidden_size ** 0.5))
    )
    assert (shared - plain).abs().max() < resolution
    ahead = plain[:, None] - plain > 2 * resolution
    assert ahead.any()
    assert (shared[:, None] > shared)[ahead].all()


@st.composite
def some_prompts(draw: st.DrawFn) -> tuple[Prompts, list[int]]:
    """Lists of prompts that begin alike."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    rows: list[list[int]] = []
    for size in sizes:
        prefix = draw(st.lists(st.integers(1, 3), max_size=6))
        rests = draw(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=5), min_size=size, max_size=size))
        rows += [prefix + rest for rest in rests]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    return Prompts(ids, torch.full_like(ids, -1), torch.tensor([len(row) for row in rows])), sizes


@given(some_prompts())
@settings(max_examples=100, deadline=None)
def test_what_is_shared_is_the_longest_common_beginning(made: tuple[Prompts, list[int]]) -> None:
    prompts, sizes = made
    first = 0
    for size in sizes:
        rows = [prompts.ids[n, : prompts.lengths[n]].tolist() for n in range(first, first + size)]
        shared = shared_tokens(prompts, slice(first, first + size))
        assert all(row[:shared] == rows[0][:shared] for row in rows)
        assert all(len(row) > shared for row in rows)
        if size > 1 and all(len(row) > shared + 1 for row in rows):
            assert len({row[shared] for row in rows}) > 1
        first += size


@given(some_prompts(), st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_portions_hold_each_prompt_once_and_keep_to_the_budget(made: tuple[Prompts, list[int]], budget: int) -> None:
    prompts, sizes = made
    rows = [prompts.ids[n, : prompts.lengths[n]].tolist() for n in range(len(prompts))]
    full = list(_full_portions(prompts, budget))
    assert [some.ids[n, : some.lengths[n]].tolist() for some in full for n in range(len(some))] == rows
    assert all(len(some) == 1 or some.ids.numel() <= budget for some in full)
    shared = list(_shared_portions(prompts, sizes, budget))
    assert [some.ids[n, : some.lengths[n]].tolist() for some, _ in shared for n in range(len(some))] == rows
    assert all(sum(counts) == len(some) for some, counts in shared)
    for some, counts in shared:
        cost = first = 0
        for count in counts:
            common = shared_tokens(some, slice(first, first + count))
            cost += int(some.lengths[first : first + count].sum()) - common * (count - 1)
            first += count
        assert len(some) == 1 or cost <= budget


def test_a_list_ends_after_its_last_rest() -> None:
    assert SharedList(10, 5, (2, 3)).end == 20
