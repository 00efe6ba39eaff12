"""The configs of vision-language models: typed, with the paper's prompt and adapter, and each of them runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonargparse import ArgumentParser

from georanker.backbones.base import Backbone
from georanker.cli import run_trainer
from georanker.prompts.template_prompt import TemplatePrompt
from tests.conftest import ROOT
from tests.test_configs import is_vlm, parsed, with_tiny_vlm
from tests.tiny_vlms import FAMILIES

EXPERIMENT = f"--config={ROOT / 'configs/experiment/blue_marble_vlm.yaml'}"
VLMS = [file for file in sorted((ROOT / "configs/backbone").glob("*.yaml")) if is_vlm(yaml.safe_load(file.read_text()))]
PROMPTS = sorted((ROOT / "configs/prompt").glob("*.yaml"))
OF_ONE_EXPERIMENT = ("blue_marble", "mp16_pro")
TRAINERS = [f for f in sorted((ROOT / "configs/trainer").glob("*.yaml")) if not f.stem.startswith(OF_ONE_EXPERIMENT)]
BUILT_HERE = ("auto", "ddp")  # strategies that need no GPU, and no further package


def settings(file: Path) -> Any:
    """Return a backbone's settings as they were parsed, typed."""

    def takes(backbone: Backbone) -> None: ...

    parser = ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(takes, as_group=False, sub_configs=True)
    return parser.parse_args([f"--backbone={file}"]).backbone


def family(name: str) -> str:
    """Return the family that a config is named after."""
    return max((each for each in FAMILIES if name.startswith(each)), key=len)


@pytest.mark.parametrize("file", VLMS, ids=lambda file: file.stem)
def test_backbone_has_the_adapter_and_a_prompt(file: Path) -> None:
    options = settings(file).init_args
    assert options.dtype == "bfloat16"
    lora = options.lora.get("init_args", options.lora)
    assert (lora.r, lora.lora_alpha, lora.lora_dropout) == (16, 32, 0.05)
    assert set(lora.target_modules) == {"q_proj", "k_proj", "v_proj"}
    assert options.prompt.class_path.endswith("TemplatePrompt")
    TemplatePrompt(**options.prompt.init_args)
    bounds = options.min_pixels, options.max_pixels
    assert bounds == (None, None) or 0 < bounds[0] < bounds[1]


def test_a_backbone_takes_the_place_of_another_whole() -> None:
    named = {file.stem: set(yaml.safe_load(file.read_text())["init_args"]) for file in VLMS}
    assert len(set(map(frozenset, named.values()))) == 1, "a setting that is left out stays as the other one has it"


def test_only_the_papers_own_run_goes_through_jpeg() -> None:
    through = {file.stem: settings(file).init_args for file in VLMS if settings(file).init_args.reencode_jpeg}
    asked = {}
    for ranker in ("georanker", "georanker_training"):
        paper = yaml.safe_load((ROOT / f"configs/ranker/{ranker}.yaml").read_text())
        asked[Path(paper["init_args"]["backbone"]).stem] = 75 if ranker.endswith("_training") else None
    assert {stem: options.reencode_query_jpeg for stem, options in through.items()} == asked


def test_the_paper_trains_what_it_evaluates() -> None:
    """Beside the photos that are asked about, which go through JPEG in training alone."""
    for room, name in (("backbone", "qwen2_vl_7b"), ("ranker", "georanker")):
        one, other = (
            yaml.safe_load((ROOT / f"configs/{room}/{stem}.yaml").read_text())["init_args"]
            for stem in (name, f"{name}_training")
        )
        changed = {key for key in one if one[key] != other[key]}
        assert changed == {"reencode_query_jpeg" if room == "backbone" else "backbone"}
        assert one.keys() == other.keys()


@pytest.mark.parametrize("file", PROMPTS, ids=lambda file: file.stem)
def test_prompt_is_accepted(file: Path) -> None:
    TemplatePrompt(**yaml.safe_load(file.read_text())["init_args"])


def test_the_papers_prompt_is_the_default() -> None:
    written = TemplatePrompt(**yaml.safe_load((ROOT / "configs/prompt/georanker.yaml").read_text())["init_args"])
    default = TemplatePrompt()
    for part in ("templates", "guessed_templates", "negative", "separator"):
        assert getattr(written, part) == getattr(default, part)


@pytest.mark.parametrize("file", TRAINERS, ids=lambda file: file.stem)
def test_trainer_parses_and_says_what_was_not_run(file: Path) -> None:
    trainer = parsed(EXPERIMENT, f"--trainer={file}")["trainer"]
    assert any(each["class_path"].endswith("ModelCheckpoint") for each in trainer["callbacks"])
    assert trainer["precision"] in (None, "32-true", "bf16-mixed", "16-mixed")  # others are refused by the data
    assert set(yaml.safe_load(file.read_text())) == set(yaml.safe_load(TRAINERS[0].read_text())), "left out, it stays"
    if trainer["accelerator"] == "gpu":
        assert re.search(r"Not run on a GPU\.|Run on an H200 with a tiny model\.", " ".join(file.read_text().split()))
    if trainer["strategy"] not in BUILT_HERE:  # their own precision would round places
        (plugin,) = trainer["plugins"]
        assert plugin["class_path"].startswith("georanker.precision.")


@pytest.mark.parametrize("file", VLMS, ids=lambda file: file.stem)
def test_backbone_trains(file: Path, small_data: list[str], tiny: Callable[[str], Path], tmp_path: Path) -> None:
    model = tiny(family(file.stem))
    kept = [flag for flag in small_data if not flag.startswith("--data.batch_size")]
    cli = run_trainer(
        [
            *("fit", EXPERIMENT, f"--model.backbone={file}", *kept, *with_tiny_vlm(model)),
            f"--trainer={ROOT / 'configs/trainer/cpu.yaml'}",
            *("--data.num_workers=0", "--trainer.fast_dev_run=1"),
            *(f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=False"),
        ]
    )
    assert "val/ranked/acc@200km" in cli.trainer.callback_metrics
    assert cli.trainer.callback_metrics["train/loss"].isfinite()
