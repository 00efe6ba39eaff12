"""A vision-language ranker goes on without the photos that cannot be read."""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from georanker.candidates import CandidatesFile
from georanker.cli import main, run_trainer
from georanker.ranker import Ranker
from georanker.types import CandidateList
from tests.killed_runs import losses
from tests.vlm_runs import Answer, finished, kilometres, predicted, small_lists, vlm_config

Tiny = Callable[[str], Path]


@pytest.fixture(scope="module")
def whole(small_run: Path, tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    """What is answered if each photo can be read."""
    folder = tmp_path_factory.mktemp("whole")
    main(["predict", vlm_config(folder, tiny("qwen2_vl")), *small_lists(small_run), "--data.batch_size=8"])
    return {answer.photo_id: answer for answer in predicted(folder)}


@pytest.fixture(scope="module")
def found(small_run: Path) -> list[CandidateList]:
    return CandidatesFile(small_run / "candidates" / "test.parquet")[:]


def ids(found: CandidateList) -> list[str]:
    return [candidate.photo.id for candidate in found.candidates if candidate.photo]


@pytest.fixture(scope="module")
def broken(found: list[CandidateList], whole: dict[str, Answer]) -> list[str]:
    """One photo of the gallery that several lists name, and the ranker chose; and one photo that is asked about."""
    named = Counter(photo_id for each in found for photo_id in ids(each))
    chosen = {answer.candidates[0][0] for answer in whole.values()}
    gallery = max(sorted(chosen), key=lambda photo_id: named[photo_id])
    assert 1 < named[gallery] < len(found)
    query = next(each.photo.id for each in found if gallery not in ids(each))
    return [gallery, query]


def damaged(broken: Sequence[str]) -> list[str]:
    return ["--data=tests.vlm_runs.Damaged", f"--data.broken={json.dumps(broken)}"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_photo_in_a_long_run(
    workers: int,
    whole: dict[str, Answer],
    broken: list[str],
    found: list[CandidateList],
    small_data: list[str],
    tiny: Tiny,
    tmp_path: Path,
) -> None:
    config = [vlm_config(tmp_path, tiny("qwen2_vl")), *damaged(broken), *small_data, "--data.batch_size=8"]
    if workers:  # a worker tells in a process of its own
        told = finished("predict", *config, f"--data.num_workers={workers}").stderr
        assert " candidates could not be read and rank last; the warnings say why" in told
    else:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            main(["predict", *config])
        told = "\n".join(str(warning.message) for warning in caught)
    for photo_id in broken:
        assert f"photo {photo_id}: cannot be decoded (" in told
    assert "what needs it ranks last" in told

    answers = predicted(tmp_path)
    assert [answer.photo_id for answer in answers] == [each.photo.id for each in found]
    gallery, query = broken
    for answer, each in zip(answers, found, strict=True):
        before = whole[answer.photo_id]
        order = [photo_id for photo_id, _ in answer.candidates]
        if answer.photo_id == query:
            assert order == ids(each)
            assert set(answer.scores.values()) == {None}
        elif gallery in before.scores:
            assert order == [photo_id for photo_id, _ in before.candidates if photo_id != gallery] + [gallery]
            assert answer.scores[gallery] is None
            left = {photo_id: score for photo_id, score in before.scores.items() if photo_id != gallery}
            assert {**answer.scores, **left} == pytest.approx(answer.scores, abs=1e-5)
        else:
            assert order == [photo_id for photo_id, _ in before.candidates]
            assert answer.scores == pytest.approx(before.scores, abs=1e-5)


@pytest.mark.filterwarnings("ignore:.*what needs it ranks last", "ignore:the backbone scored candidates NaN")
def test_broken_photos_have_figures(
    broken: list[str], found: list[CandidateList], small_data: list[str], tiny: Tiny, tmp_path: Path
) -> None:
    config = [vlm_config(tmp_path, tiny("qwen2_vl")), *damaged(broken), *small_data, "--data.batch_size=8"]
    main(["predict", *config])
    figures = run_trainer(["test", *config]).trainer.callback_metrics
    answers = predicted(tmp_path)
    errors = [kilometres(each)[answer.candidates[0][0]] for each, answer in zip(found, answers, strict=True)]
    assert figures["test/ranked/mean_km"].item() == pytest.approx(sum(errors) / len(errors), rel=1e-5)
    assert all(math.isfinite(value.item()) for name, value in figures.items() if "gap_closed" not in name)


def gradients(ranker: Ranker, lists: Sequence[CandidateList]) -> tuple[float, dict[str, Tensor]]:
    """Return the loss of a batch as it is trained, and its gradients."""
    assert ranker.loss is not None
    batch = ranker.collator(lists)
    loss = ranker.loss(ranker.backbone(batch), batch.distances_km, ranker.backbone.trainable(batch))
    ranker.zero_grad()
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in ranker.named_parameters() if p.grad is not None}


@pytest.mark.filterwarnings("ignore:.*what needs it ranks last")
def test_a_broken_candidate_is_left_out_of_the_loss(
    small_run: Path, small_data: list[str], tiny: Tiny, tmp_path: Path
) -> None:
    lists = CandidatesFile(small_run / "candidates" / "train.parquet")[:4]
    gallery = ids(lists[0])[0]
    cli = run_trainer([vlm_config(tmp_path, tiny("qwen2_vl")), *damaged([gallery]), *small_data], run=False)
    cracked = cli.datamodule.lists("train")[:4]
    without = [
        replace(each, candidates=tuple(c for c in each.candidates if c.photo and c.photo.id != gallery))
        for each in cracked
    ]
    assert len(without[0]) == len(cracked[0]) - 1
    for weight in cli.model.backbone.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.3)
    (loss, found), (expected, wanted) = gradients(cli.model, cracked), gradients(cli.model, without)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert gradient.abs().max() > 0
        torch.testing.assert_close(found[name], gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*what needs it ranks last")
@pytest.mark.parametrize("workers", [0, 1])
def test_training_goes_on_after_broken_photos(
    workers: int, small_run: Path, small_data: list[str], tiny: Tiny, tmp_path: Path
) -> None:
    """In the first batch no photo can be read that is asked about, in the second one of the gallery."""
    order = np.random.default_rng((0, 0)).permutation(48)
    lists = CandidatesFile(small_run / "candidates" / "train.parquet")
    broken = [lists[int(row)].photo.id for row in order[:8]] + [ids(lists[int(order[8])])[0]]
    config = [vlm_config(tmp_path, tiny("qwen2_vl")), *damaged(broken), *small_data, "--data.batch_size=8"]
    short = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=3", "--trainer.limit_val_batches=0"]
    cli = run_trainer(["fit", *config, *short, f"--data.num_workers={workers}"])
    found = losses(tmp_path)
    assert sorted(found) == [0, 1, 2]
    assert found[0] == 0
    assert 0 < found[1] < math.inf
    assert 0 < found[2] < math.inf
    state = cli.model.state_dict()
    assert all(weight.isfinite().all() for weight in state.values())
    assert any(weight.abs().max() > 0.01 for name, weight in state.items() if "lora_B" in name)  # they began at 0
