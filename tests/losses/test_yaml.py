"""Losses as a YAML names them: short names, read by jsonargparse against the typed arguments."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser

import georanker
from georanker.discovery import classes
from georanker.losses.base import RankingLoss
from georanker.losses.multi_order_distance import MultiOrderDistance
from georanker.losses.rank_net import RankNet
from georanker.losses.weighted_sum import WeightedSum

FILES = sorted((Path(georanker.__file__).parents[1] / "configs" / "loss").glob("*.yaml"))


def built(*arguments: str) -> RankingLoss:
    list(classes("georanker.losses"))  # a class that is imported has a short name
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(RankingLoss, "loss", required=True)
    loss = parser.instantiate(parser.parse_args(list(arguments))).loss
    assert isinstance(loss, RankingLoss)
    return loss


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_configs(file: Path) -> None:
    loss = built(f"--loss={file}")
    assert loss(torch.randn(2, 3), torch.rand(2, 3)).isfinite()
    for line in file.read_text().splitlines():
        if any(character.isdigit() for character in line.partition("#")[0]):
            assert "#" in line, f"{file.name}: a number without its source: {line}"


def test_multi_order_distance_config_is_the_default() -> None:
    (file,) = (file for file in FILES if file.stem == "multi_order_distance")
    assert repr(built(f"--loss={file}")) == repr(MultiOrderDistance())


def test_each_class_by_its_short_name() -> None:
    for found in classes("georanker.losses"):
        if issubclass(found, RankingLoss) and found is not RankingLoss:
            assert type(built(f"--loss={found.__name__}")) is found


def test_settings_by_flags() -> None:
    loss = built("--loss=MultiOrderDistance", "--loss.second_order_top=1000")
    assert repr(loss) == "MultiOrderDistance(first_order_weight=0.7, top=1, second_order_top=1000)"


def test_weighted_sum_in_short() -> None:
    loss = built("--loss=WeightedSum", "--loss.terms=[[RankNet, 1.0], [{class_path: ListNet}, 0.5]]")
    assert isinstance(loss, WeightedSum)
    assert loss.weights == (1.0, 0.5)
    assert isinstance(loss.terms[0][0], RankNet)
