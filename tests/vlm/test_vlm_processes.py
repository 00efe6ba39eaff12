"""A vision-language ranker in several processes: one that is killed, two that train together, and loader workers."""

from __future__ import annotations

import csv
import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from georanker.cli import main, run_trainer
from georanker.types import RankingBatch
from tests.killed_runs import killed, losses
from tests.vlm_runs import LORA, finished, georanker, small_lists, vlm_config

# Four of the twelve batches of an epoch, so that the sixth step is in the middle of the second.
STEPS = 8
KILLED_RUN = ["--data.batch_size=4", "--trainer.limit_train_batches=4", "--trainer.max_epochs=2"]
KILLED_RUN += ["--trainer.limit_val_batches=0"]


@pytest.fixture(scope="module")
def undisturbed(small_run: Path, tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with dropout that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    main(["fit", with_dropout(folder, tiny, 0.3), *small_lists(small_run), *KILLED_RUN])
    return folder


def with_dropout(folder: Path, tiny: Callable[[str], Path], share: float) -> str:
    return vlm_config(folder, tiny("qwen2_vl"), {**LORA, "lora_dropout": share})


def test_dropout_is_on_in_training(
    undisturbed: Path, small_data: list[str], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    """The adapter starts as nought, so the first step does not tell."""
    main(["fit", with_dropout(tmp_path, tiny, 0.0), *small_data, *KILLED_RUN, "--trainer.max_epochs=1"])
    without, found = losses(tmp_path), losses(undisturbed)
    assert without[0] == found[0]
    assert all(without[step] != found[step] for step in range(1, 4))


def test_a_killed_run_goes_on_with_the_same_losses(
    undisturbed: Path, small_data: list[str], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    expected = losses(undisturbed)
    assert sorted(expected) == list(range(STEPS))
    config = with_dropout(tmp_path, tiny, 0.3)
    flushed = "--trainer.logger.flush_logs_every_n_steps=1"
    wanted = killed(georanker("fit", config, *small_data, *KILLED_RUN, flushed), 6, tmp_path / "steps")
    before = losses(tmp_path)
    assert before == {step: expected[step] for step in range(6)}

    again = tmp_path / "again"
    finished("fit", with_dropout(again, tiny, 0.3), *small_data, *KILLED_RUN, f"--ckpt_path={wanted}")
    assert losses(again) == {step: expected[step] for step in (6, 7)}


def written(folder: Path, process: int) -> list[dict[str, Any]]:
    """Return what the steps of one process were about."""
    return [json.loads(line) for line in (folder / f"{process}.jsonl").read_text().splitlines()]


def figures(folder: Path) -> dict[str, float]:
    """Return the figures of a run's only validation."""
    (file,) = folder.rglob("metrics.csv")
    with file.open() as rows:
        (row,) = (row for row in csv.DictReader(rows) if row["val/loss"])
    return {name: float(value) for name, value in row.items() if name.startswith("val/")}


def weights(folder: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(folder / "checkpoints" / "ranker.ckpt", weights_only=True)["state_dict"]
    return state


def test_two_processes_train_as_one(small_data: list[str], tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """Three steps in each of two epochs; in the second step the second process can read none of its photos."""
    order = np.random.default_rng((0, 0)).permutation(48)[1::2]
    broken = [f"train/48-{index}" for index in order[4:8]]
    common = ["--data=tests.vlm_runs.Damaged", f"--data.broken={json.dumps(broken)}", *small_data]
    common += ["--trainer.max_epochs=2", "--trainer.limit_train_batches=3", "--trainer.check_val_every_n_epoch=2"]
    shapes = {
        "one": ["--data.batch_size=8"],
        "two": ["--data.batch_size=4", "--trainer.devices=2", "--trainer.strategy=ddp"],
    }
    for name, shape in shapes.items():
        folder = tmp_path / name
        writer = ["--trainer.callbacks+=tests.vlm_runs.StepsWritten", f"--trainer.callbacks.folder={folder}"]
        finished("fit", vlm_config(folder, tiny("qwen2_vl")), *common, *shape, *writer)

    one, first, second = written(tmp_path / "one", 0), written(tmp_path / "two", 0), written(tmp_path / "two", 1)
    assert len(one) == len(first) == len(second) == 6
    assert len({step["process"] for step in (*one, *first, *second)}) == 3
    for step, mine, other in zip(one, first, second, strict=True):
        assert sorted(step["photos"]) == sorted([*mine["photos"], *other["photos"]])
        assert (mine["loss"] + other["loss"]) / 2 == pytest.approx(step["loss"], rel=1e-5)
    assert sorted(second[1]["photos"]) == sorted(broken)
    assert second[1]["loss"] == 0
    assert all(step["loss"] > 0 for step in (*one, *first))

    for name, figure in figures(tmp_path / "one").items():
        assert figures(tmp_path / "two")[name] == pytest.approx(figure, rel=1e-4, nan_ok=True), name

    # Adam divides a gradient by its own size, so that rounding moves what has next to none.
    alone, together = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert alone.keys() == together.keys()
    for name, weight in alone.items():
        assert (together[name] - weight).norm() < 1e-3 * weight.norm(), name
    assert any(weight.abs().max() > 0.05 for name, weight in alone.items() if "lora_B" in name)  # they began at 0


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_give_the_same_batches(
    start: str, small_data: list[str], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    config = [vlm_config(tmp_path, tiny("qwen2_vl")), *small_data]
    batches = []
    for workers in (0, 1):
        cli = run_trainer([*config, f"--data.num_workers={workers}"], run=False)
        cli.datamodule.trainer = None
        loader = cli.datamodule.train_dataloader()
        if workers:
            loader.multiprocessing_context = multiprocessing.get_context(start)
        batches.append(list(loader))
    assert len(batches[0]) == len(batches[1]) == 3
    for plain, worked in zip(*batches, strict=True):
        assert_same(plain, worked)


def assert_same(one: RankingBatch, other: RankingBatch) -> None:
    assert one.photo_ids == other.photo_ids
    for name in ("places", "truth", "distances_km", "retrieval_scores", "mask"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=0, atol=0, equal_nan=True)
    assert one.inputs.keys() == other.inputs.keys()
    assert {"ids", "rows", "lengths", "photo0.pixel_values"} <= one.inputs.keys()
    for name, tensor in one.inputs.items():
        assert torch.equal(tensor, other.inputs[name]), name
