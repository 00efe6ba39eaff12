"""A ranker in a folder is the same ranker, and what is no such folder is told in a line."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from peft import LoraConfig

from georanker.backbones.base import Backbone
from georanker.backbones.consensus import ConsensusBackbone
from georanker.backbones.embedding import EmbeddingBackbone
from georanker.backbones.vlm import VLMBackbone
from georanker.heads.value_head import ValueHead
from georanker.heads.yes_no_logit import YesNoLogit
from georanker.localizing.run_folder import RunPhotos
from georanker.prompts.template_prompt import TemplatePrompt
from georanker.ranker import Ranker
from georanker.retrievers.base import Retriever
from georanker.types import Candidate, CandidateList, GeorankerError, Photo, Place
from tests.vlm_world import Album, awaken, some_lists

Tiny = Callable[[str], Path]

SHORT: dict[str, Any] = {
    "parts": ["{query_photo}", "Near {latitude}, {longitude}?", "{candidate_photo}"],
    "guessed_parts": None,
}
LORA: dict[str, Any] = {"r": 2, "lora_alpha": 3, "lora_dropout": 0.05, "target_modules": ["q_proj", "v_proj"]}
BACKBONES: dict[str, Callable[[], dict[str, Any]]] = {
    "head only": dict,
    "value head": lambda: {"head": ValueHead(), "lora": LoraConfig(**LORA)},
    "yes or no": lambda: {"head": YesNoLogit("No", "Yes"), "lora": LoraConfig(**LORA)},
    "yes or no, head only": lambda: {"head": YesNoLogit()},
    "prompt": lambda: {"prompt": TemplatePrompt(**SHORT), "lora": LoraConfig(**LORA, use_rslora=True)},
    "settings": lambda: {"max_pixels": 4000, "reencode_jpeg": 60, "score_dtype": "bfloat16", "tokens_at_once": 200},
    "some layers": lambda: {"lora": LoraConfig(**LORA, layers_to_transform=[1], rank_pattern={"v_proj": 1})},
}


def answers(ranker: Ranker, lists: list[CandidateList]) -> list[list[tuple[Place, float]]]:
    return [[(each.place, each.score) for each in found.candidates] for found in ranker.rank(lists)]


def saved_and_loaded(ranker: Ranker, folder: Path, lists: list[CandidateList]) -> Ranker:
    ranker.save_pretrained(folder)
    again = Ranker.from_pretrained(folder)
    assert not again.training
    expected = answers(ranker, lists)
    assert len({score for found in expected for _, score in found}) > 1
    assert answers(again, lists) == expected
    assert answers(Ranker.from_pretrained(str(folder)), lists) == expected
    return again


@pytest.mark.parametrize("name", BACKBONES)
def test_a_vision_language_ranker_comes_back(name: str, tiny: Tiny, tmp_path: Path) -> None:
    backbone = awaken(VLMBackbone(str(tiny("qwen2_vl")), **BACKBONES[name]()))
    again = saved_and_loaded(Ranker(backbone), tmp_path, some_lists(Album()))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 50_000, "the model's own weights stay away"
    again.save_pretrained(tmp_path / "twice")
    assert answers(Ranker.from_pretrained(tmp_path / "twice"), some_lists(Album())) == answers(
        again, some_lists(Album())
    )


def test_a_loaded_adapter_needs_its_old_folder_no_more(tiny: Tiny, tmp_path: Path) -> None:
    old = tmp_path / "old"
    awaken(VLMBackbone(str(tiny("gemma3")), lora=LoraConfig(**LORA))).save_weights(old)
    backbone = VLMBackbone(str(tiny("gemma3")), adapter=str(old))
    for path in old.iterdir():
        path.unlink()
    saved_and_loaded(Ranker(backbone), tmp_path / "new", some_lists(Album()))


def test_what_is_saved_is_an_adapter_as_well(tiny: Tiny, tmp_path: Path) -> None:
    ranker = Ranker(awaken(VLMBackbone(str(tiny("llava")), lora=LoraConfig(**LORA))))
    ranker.save_pretrained(tmp_path)
    other = Ranker(VLMBackbone(str(tiny("llava")), adapter=str(tmp_path)))
    assert answers(other, some_lists(Album())) == answers(ranker, some_lists(Album()))


def embedded_lists(folder: Path) -> list[CandidateList]:
    """Lists with vectors, and the gallery that they count in."""
    dice = np.random.default_rng(0)
    for name in ("embeddings", "location_embeddings"):
        np.save(folder / f"{name}.npy", dice.normal(size=(6, 8)).astype(np.float32))
    return [
        CandidateList(
            Photo(f"photo-{number}"),
            tuple(Candidate(Place(10.0 * row, 5.0), float(row), gallery_row=row) for row in range(2 + number)),
            embedding=dice.normal(size=8).astype(np.float32),
            gallery=str(folder),
        )
        for number in range(3)
    ]


@pytest.mark.parametrize("made", [lambda: EmbeddingBackbone(8, width=16, heads=2), lambda: ConsensusBackbone(700.0)])
def test_other_rankers_come_back(made: Callable[[], Backbone], tmp_path: Path) -> None:
    again = saved_and_loaded(Ranker(made()), tmp_path / "ranker", embedded_lists(tmp_path))
    assert type(again.backbone) is type(made())


def test_trained_weights_are_what_comes_back(tmp_path: Path) -> None:
    """Not those that the same seed would draw again."""
    torch.manual_seed(0)
    ranker = Ranker(EmbeddingBackbone(8, width=16, heads=2))
    with torch.no_grad():
        for weight in ranker.backbone.parameters():
            weight.add_(torch.randn_like(weight))
    torch.manual_seed(0)
    saved_and_loaded(ranker, tmp_path / "ranker", embedded_lists(tmp_path))


def test_what_stands_in_the_folder_says_how_to_build_it(tiny: Tiny, tmp_path: Path) -> None:
    prompt, head = TemplatePrompt(**SHORT), YesNoLogit()
    backbone = VLMBackbone(str(tiny("qwen2_vl")), prompt, head, lora=LoraConfig(**LORA), max_pixels=5000)
    Ranker(backbone).save_pretrained(tmp_path)
    said = yaml.safe_load((tmp_path / "ranker.yaml").read_text())["backbone"]
    assert said["class_path"] == "georanker.backbones.vlm.VLMBackbone"
    given = said["init_args"]
    assert given.keys() == {"model", "prompt", "head", "lora", "max_pixels"}
    assert given["prompt"] == {"class_path": "georanker.prompts.template_prompt.TemplatePrompt", "init_args": SHORT}
    assert given["head"] == {"class_path": "georanker.heads.yes_no_logit.YesNoLogit", "init_args": {}}
    assert given["max_pixels"] == 5000
    assert {name: given["lora"][name] for name in ("r", "lora_alpha", "lora_dropout")} == {
        name: LORA[name] for name in ("r", "lora_alpha", "lora_dropout")
    }


RAN: list[str] = []
"""What a broken folder made run: nothing may."""


class Trap:
    """Not a backbone."""

    def __init__(self, command: str = "") -> None:
        RAN.append(command)


BROKEN: dict[str, object] = {
    "no YAML": "backbone: [",
    "text": "georanker",
    "empty": "",
    "a list": "- 1\n- 2\n",
    "binary": b"\xff\xfe\x00\x01",
    "no backbone": "head: 1\n",
    "another key": "backbone:\n  class_path: ConsensusBackbone\nthen: 1\n",
    "nothing": "backbone: null\n",
    "a command": "backbone:\n  class_path: os.system\n  init_args:\n    command: touch TRAP\n",
    "a command as text": "backbone: os.system\n",
    "a class": "backbone:\n  class_path: tests.test_pretrained.Trap\n  init_args:\n    command: ran\n",
    "a Python tag": "backbone: !!python/object/apply:os.system [touch TRAP]\n",
    "no such class": "backbone:\n  class_path: georanker.backbones.vlm.NoSuch\n",
    "no such module": "backbone:\n  class_path: no_such_module.NoSuch\n",
    "an abstract class": "backbone:\n  class_path: georanker.backbones.base.Backbone\n",
    "no such argument": "backbone:\n  class_path: ConsensusBackbone\n  init_args:\n    scale: 5\n",
    "a wrong type": "backbone:\n  class_path: ConsensusBackbone\n  init_args:\n    scale_km: far\n",
    "a wrong value": "backbone:\n  class_path: ConsensusBackbone\n  init_args:\n    scale_km: -1\n",
    "no model": "backbone:\n  class_path: VLMBackbone\n  init_args:\n    model: no/such/model\n",
    "a wrong prompt": (
        "backbone:\n  class_path: VLMBackbone\n  init_args:\n    model: no/such/model\n"
        "    prompt:\n      class_path: TemplatePrompt\n      init_args:\n        parts: ['{nothing}']\n"
    ),
    "a trap inside": (
        "backbone:\n  class_path: VLMBackbone\n  init_args:\n    model: no/such/model\n"
        "    prompt:\n      class_path: tests.test_pretrained.Trap\n      init_args:\n        command: ran\n"
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_folder_is_told_in_a_line_and_runs_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    commands: list[str] = []
    monkeypatch.setattr(os, "system", commands.append)
    text = BROKEN[name]
    (tmp_path / "ranker.yaml").write_bytes(text if isinstance(text, bytes) else str(text).encode())
    with pytest.raises(GeorankerError) as told:
        Ranker.from_pretrained(tmp_path)
    assert "\n" not in str(told.value)
    assert str(told.value).startswith(
        "model no/such/model: " if name == "no model" else f"{tmp_path / 'ranker.yaml'}: "
    )
    assert not commands
    assert not RAN
    assert not (tmp_path / "TRAP").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a command", "line 2: 'os.system' is not a class that `backbone` can be"),
        ("no such argument", "line 4: 'scale' is not an option of ConsensusBackbone; did you mean 'scale_km'"),
        ("a wrong value", "scale_km must be positive, not -1"),
        ("a wrong prompt", "{nothing} in '{nothing}' is not a field of a prompt; there are latitude"),
        ("a trap inside", "line 6: 'tests.test_pretrained.Trap' is not a class that `prompt` can be"),
        ("a list", "the following arguments are required: backbone"),
    ],
)
def test_the_line_says_what_is_wrong(name: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "ranker.yaml").write_text(str(BROKEN[name]))
    with pytest.raises(GeorankerError, match=re.escape(said)):
        Ranker.from_pretrained(tmp_path)


STRANGERS = {
    "a class": "backbone:\n  class_path: stranger.X\n",
    "in short": "backbone: stranger.X\n",
    "in a package": "backbone:\n  class_path: stranger.deep.X\n",
    "within": "backbone:\n  class_path: VLMBackbone\n  init_args: {model: a, prompt: {class_path: stranger.X}}\n",
    "within, in short": "backbone:\n  class_path: VLMBackbone\n  init_args: {model: a, head: stranger.X}\n",
    "in a text": "backbone: '{class_path: stranger.X}'\n",
    "in a text in a list": "backbone: {class_path: ConsensusBackbone, init_args: {scale_km: ['[stranger.X]']}}\n",
    "of an imported package": "backbone:\n  class_path: package.stranger.X\n",
}


@pytest.mark.parametrize("name", STRANGERS)
def test_a_folder_does_not_choose_what_is_imported(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(".")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    importlib.import_module("package")
    for file in ("stranger.py", "package/stranger.py"):
        (tmp_path / file).write_text(
            f"from pathlib import Path\nPath({str(tmp_path / 'TRAP')!r}).touch()\nclass X: ...\n"
        )
    (tmp_path / "ranker.yaml").write_text(STRANGERS[name])
    try:
        with pytest.raises(GeorankerError, match="is no class of georanker, and a folder does not choose") as told:
            Ranker.from_pretrained(tmp_path)
        assert not (tmp_path / "TRAP").exists()
        assert str(told.value).startswith(f"{tmp_path / 'ranker.yaml'}: '")
        assert "\n" not in str(told.value)
        assert "ConsensusBackbone" in str(told.value)
        assert "RankNet" not in str(told.value)
        (tmp_path / "retriever.yaml").write_text("class_path: stranger.X\n")
        with pytest.raises(
            GeorankerError, match=r"'stranger\.X' is no class of georanker.* one of ContrastiveRetriever$"
        ):
            Retriever.from_pretrained(tmp_path)
        with pytest.raises(GeorankerError, match=r"'stranger\.X' is no class of georanker.* BlueMarble"):
            RunPhotos({"class_path": "stranger.X"}).read("x")
        assert not (tmp_path / "TRAP").exists()
    finally:
        for module in ("package", "package.stranger", "stranger"):
            sys.modules.pop(module, None)


class Mine(ConsensusBackbone):
    """A user's own, of a module that is imported."""


def test_a_class_that_the_user_has_imported_is_built(tmp_path: Path) -> None:
    Ranker(Mine()).save_pretrained(tmp_path)
    assert type(Ranker.from_pretrained(tmp_path).backbone) is Mine


@pytest.mark.parametrize("yes", ["true", "'true'"])
def test_code_beside_a_model_is_run_for_nobodys_yaml(yes: str, tiny: Tiny, tmp_path: Path) -> None:
    model, ranker = tmp_path / "model", tmp_path / "ranker"
    model.mkdir()
    for path in tiny("qwen2_vl").iterdir():
        (model / path.name).write_bytes(path.read_bytes())
    config = json.loads((model / "config.json").read_text())
    named = {"AutoConfig": "trap.Config", "AutoModelForImageTextToText": "trap.Model"}
    (model / "config.json").write_text(json.dumps({**config, "model_type": "trap", "auto_map": named}))
    (model / "trap.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'TRAP')!r}).touch()\n")
    ranker.mkdir()
    (ranker / "ranker.yaml").write_text(
        f"backbone:\n  class_path: VLMBackbone\n  init_args:\n    model: {model}\n    trust_remote_code: {yes}\n"
    )
    said = f"^{ranker}/ranker.yaml: asks to run code .* build the backbone yourself, .* adapter={ranker}$"
    with pytest.raises(GeorankerError, match=said):
        Ranker.from_pretrained(ranker)
    assert not (tmp_path / "TRAP").exists()


def test_a_folder_without_a_ranker(tmp_path: Path) -> None:
    with pytest.raises(GeorankerError, match=rf"^{tmp_path}/ranker\.yaml: cannot be read \(.*No such file"):
        Ranker.from_pretrained(tmp_path)


@pytest.mark.parametrize("source", ["no/such/folder/here", "/no/such/folder"])
def test_no_folder_at_all(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GeorankerError, match=f"^{source}: neither a folder nor a model of the hub") as told:
        Ranker.from_pretrained(source)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("how", ["missing", "cut", "another's"])
def test_weights_that_do_not_belong(how: str, tmp_path: Path) -> None:
    Ranker(EmbeddingBackbone(8, width=16, heads=2)).save_pretrained(tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        EmbeddingBackbone(8, width=32, heads=2).save_weights(tmp_path)
    with pytest.raises(GeorankerError, match=f"^{path}: ") as told:
        Ranker.from_pretrained(tmp_path)
    assert "\n" not in str(told.value)


def test_a_part_that_no_yaml_can_say(tiny: Tiny, tmp_path: Path) -> None:
    class Odd(ConsensusBackbone):
        """Takes anything."""

        def __init__(self, anything: object) -> None:
            super().__init__()

    with pytest.raises(GeorankerError, match=r"^Odd\.anything is a object, which cannot be written as YAML$"):
        Ranker(Odd(object())).save_pretrained(tmp_path)
    assert not (tmp_path / "ranker.yaml").exists()
