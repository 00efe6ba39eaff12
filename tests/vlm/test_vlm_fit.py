"""A low-rank adapter is trained, tested and asked through the command line, and a checkpoint holds it and no more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from georanker.candidates import CandidatesFile
from georanker.cli import main, run_trainer
from georanker.data.blue_marble import BlueMarble
from georanker.ranker import Ranker
from tests.conftest import ROOT
from tests.killed_runs import losses
from tests.vlm_runs import kilometres, predicted, small_lists, vlm_config

EPOCHS, STEPS = 8, 2  # 16 lists in batches of 8 make 2 steps an epoch

Fit = Callable[[int], Path]


@pytest.fixture(scope="module")
def fit(small_run: Path, tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Fit:
    """Trains on 16 lists with a seed, once, and returns the folder of the run."""
    made: dict[int, Path] = {}
    few = tmp_path_factory.mktemp("few")
    data = [*small_lists(small_run), "--data.train_size=16", "--data.batch_size=8"]
    tools = [f"--retriever={small_run / 'retriever.ckpt'}", f"--gallery={small_run / 'gallery'}"]
    photos = f"--data={ROOT / 'configs/data/blue_marble_demo_photos.yaml'}"
    main(["retrieve", photos, *data, *tools, f"--out={few}", "--top_k=8", "--splits=[train]"])

    def run(seed: int) -> Path:
        if seed not in made:
            made[seed] = tmp_path_factory.mktemp(f"seed-{seed}")
            settings = [f"--trainer.max_epochs={EPOCHS}", "--trainer.limit_val_batches=0", f"--seed_everything={seed}"]
            config = vlm_config(made[seed], tiny("qwen2_vl"))
            main(["fit", config, *data, f"--data.candidates={few}", *settings])
        return made[seed]

    return run


def checkpoint(run: Path) -> Path:
    return run / "checkpoints" / "ranker.ckpt"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_loss_falls(seed: int, fit: Fit) -> None:
    """An epoch shows each list once, so the first and the last epoch are about the same lists."""
    found = losses(fit(seed))
    assert sorted(found) == list(range(EPOCHS * STEPS))
    first, last = (sum(found[epoch * STEPS + step] for step in range(STEPS)) / STEPS for epoch in (0, EPOCHS - 1))
    assert last < 0.75 * first


def test_a_checkpoint_is_tested_and_answers(
    fit: Fit, small_run: Path, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    trained = [f"--config={fit(0) / 'vlm.yaml'}", *small_lists(small_run), f"--ckpt_path={checkpoint(fit(0))}"]
    main(["predict", *trained])
    answers = predicted(fit(0))
    found = CandidatesFile(small_run / "candidates" / "test.parquet")
    assert [answer.photo_id for answer in answers] == [each.photo.id for each in found]
    for answer, each in zip(answers, found, strict=True):
        values = [score for _, score in answer.candidates]
        assert values == sorted(values, reverse=True)
        assert len(set(values)) > 1
        assert set(answer.scores) == {candidate.photo.id for candidate in each.candidates if candidate.photo}

    tested = run_trainer(["test", *trained]).trainer.callback_metrics
    errors = torch.tensor(
        [kilometres(each)[answer.candidates[0][0]] for each, answer in zip(found, answers, strict=True)]
    )
    for radius in (200, 750, 2500):
        share = (errors <= radius).double().mean().item()
        assert tested[f"test/ranked/acc@{radius}km"].item() == pytest.approx(share, abs=1e-6)
    assert tested["test/ranked/mean_km"].item() == pytest.approx(errors.mean().item(), rel=1e-5)

    main(["predict", vlm_config(tmp_path, tiny("qwen2_vl")), *small_lists(small_run)])
    for answer, other in zip(answers, predicted(tmp_path), strict=True):
        assert answer.scores != pytest.approx(other.scores, abs=1e-2)


def test_a_checkpoint_holds_what_is_trained_and_no_more(fit: Fit, tiny: Callable[[str], Path]) -> None:
    saved = torch.load(checkpoint(fit(0)), weights_only=True)
    shapes = {name: tuple(tensor.shape) for name, tensor in saved["state_dict"].items()}
    # Two layers, in each of which two maps from 32 features, to 32 and to 16, have matrices of rank 4 beside them.
    expected = {"backbone.head.weight": (1, 32)}
    for layer in range(2):
        for name, width in (("q_proj", 32), ("v_proj", 16)):
            place = f"backbone.model.model.language_model.layers.{layer}.self_attn.{name}"
            expected |= {f"{place}.lora_A.default.weight": (4, 32), f"{place}.lora_B.default.weight": (width, 4)}
    assert shapes == expected
    for name, tensor in saved["state_dict"].items():
        assert tensor.abs().max() > 0.01, name  # half of the matrices began at 0

    count = sum(tensor.numel() for tensor in saved["state_dict"].values())
    assert numbers(saved["optimizer_states"]) == 2 * count  # AdamW's two moments
    assert numbers(saved) == 3 * count
    model = tiny("qwen2_vl") / "model.safetensors"
    assert checkpoint(fit(0)).stat().st_size < model.stat().st_size / 8


def numbers(node: object) -> int:
    """Count the numbers of all tensors that a part of a checkpoint holds, without single ones such as step counts."""
    if isinstance(node, Tensor):
        return node.numel() if node.dim() else 0
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else ()
    return sum(map(numbers, parts))


def test_a_checkpoint_is_the_same_ranker(
    small_run: Path, small_data: list[str], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    config = vlm_config(tmp_path, tiny("qwen2_vl"))
    few = ["--data.batch_size=4", "--trainer.max_steps=3", "--trainer.limit_val_batches=0"]
    cli = run_trainer(["fit", config, *small_data, *few])
    assert isinstance(cli.model, Ranker)
    assert isinstance(cli.datamodule, BlueMarble)
    lists = cli.datamodule.lists("test")[:6]
    before = [[c.score for c in answer.candidates] for answer in cli.model.rank(lists)]
    again = Ranker.load_from_checkpoint(checkpoint(tmp_path), weights_only=True)
    assert [[c.score for c in answer.candidates] for answer in again.rank(lists)] == before
    again.save_pretrained(tmp_path / "saved")
    assert [[c.score for c in a.candidates] for a in Ranker.from_pretrained(tmp_path / "saved").rank(lists)] == before


@pytest.mark.parametrize("saves_memory", [False, True])
def test_gradient_checkpointing_computes_layers_again(
    saves_memory: bool, small_data: list[str], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    config = vlm_config(tmp_path, tiny("qwen2_vl"), gradient_checkpointing=saves_memory)
    cli = run_trainer([config, *small_data], run=False)
    layers = cli.model.backbone.model.get_decoder().layers
    calls: list[nn.Module] = []
    layers[0].self_attn.register_forward_hook(lambda module, inputs, output: calls.append(module))
    batch = next(iter(cli.datamodule.train_dataloader()))
    cli.model.backbone(batch)  # the way that is faster is chosen here
    calls.clear()
    scores = cli.model.backbone(batch)
    forward = len(calls)
    assert forward > 0
    scores.sum().backward()
    assert len(calls) == (2 * forward if saves_memory else forward)
