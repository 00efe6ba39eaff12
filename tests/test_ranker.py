"""The ranker: what it logs, what it answers, and that a checkpoint is the same ranker."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor

from georanker.backbones.base import Backbone
from georanker.backbones.consensus import ConsensusBackbone
from georanker.backbones.embedding import EmbeddingBackbone
from georanker.backbones.similarity import SimilarityBackbone
from georanker.candidates import CandidatesFile
from georanker.cli import run_trainer
from georanker.losses.multi_order_distance import MultiOrderDistance
from georanker.metrics.pairwise_accuracy import PairwiseAccuracy
from georanker.ranker import Ranker, ranking
from georanker.types import Candidate, CandidateList, GeorankerError, Photo, Place, RankingBatch
from tests.conftest import ROOT

DEMO = f"--config={ROOT / 'configs/experiment/blue_marble_demo.yaml'}"


class Fixed(Backbone):
    """Scores by a function of the candidates' places."""

    def __init__(self, sign: float) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, batch: RankingBatch) -> Tensor:
        return self.sign * batch.places[..., 0].float()


def lists(count: int = 3) -> list[CandidateList]:
    random = np.random.default_rng(0)
    made = []
    for index in range(count):
        places = [Place(*random.uniform(-80, 80, 2)) for _ in range(2 + index)]
        photo = Photo(f"photo-{index}", Place(*random.uniform(-80, 80, 2)))
        made.append(CandidateList(photo, tuple(Candidate(place, -i) for i, place in enumerate(places))))
    return made


def evaluated(ranker: Ranker, found: list[CandidateList], size: int) -> dict[str, float]:
    batches = [ranker.collator(found[start : start + size]) for start in range(0, len(found), size)]
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    trainer.test(ranker, torch.utils.data.DataLoader(batches, batch_size=None), verbose=False)  # type: ignore[arg-type]
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


def test_answers_are_sorted_and_whole() -> None:
    found = lists()
    for answer, each in zip(Ranker(Fixed(1.0)).rank(found), found, strict=True):
        latitudes = [candidate.place.latitude for candidate in answer.candidates]
        assert latitudes == sorted(latitudes, reverse=True)
        assert {c.place for c in answer.candidates} == {c.place for c in each.candidates}
        assert answer.retrieved.place == each.candidates[0].place
        assert answer.place == answer.candidates[0].place
        assert answer.score == pytest.approx(answer.place.latitude, rel=1e-6)
        assert answer.error_km is not None
        assert answer.error_km > 0
        assert answer.photo.id in str(answer)


def test_unknown_truth_is_no_error_of_nought() -> None:
    photo = Photo("somewhere")
    (answer,) = Ranker(SimilarityBackbone()).rank([CandidateList(photo, (Candidate(Place(1, 2)),))])
    assert answer.error_km is None


def test_figures_do_not_depend_on_batches() -> None:
    found = lists(7)
    whole, parts = evaluated(Ranker(Fixed(1.0)), found, 7), evaluated(Ranker(Fixed(1.0)), found, 2)
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert parts[name] == pytest.approx(value, nan_ok=True), name


def test_baseline_ranks_as_retrieved_and_never_above_the_oracle() -> None:
    figures = evaluated(Ranker(SimilarityBackbone()), lists(20), 6)
    names = [name.split("/")[2] for name in figures if name.startswith("test/ranked/")]
    assert "acc@2500km" in names
    assert "median_km" in names
    for name in names:
        assert figures[f"test/ranked/{name}"] == figures[f"test/retrieved/{name}"]
        if name.startswith("acc@"):
            assert figures[f"test/oracle/{name}"] >= figures[f"test/ranked/{name}"]


def test_metrics_can_be_chosen() -> None:
    figures = evaluated(Ranker(Fixed(1.0), metrics=[PairwiseAccuracy()]), lists(5), 5)
    assert set(figures) == {"test/pairwise_accuracy"}


@pytest.mark.parametrize("wrong", [float("nan"), float("-inf")])
def test_a_candidate_that_could_not_be_scored_comes_last(wrong: float) -> None:
    order = ranking(torch.tensor([[wrong, -3.0, -2.0]]))
    assert order.tolist() == [[2, 1, 0]]


def test_the_first_of_equals_wins() -> None:
    assert ranking(torch.zeros(1, 50)).tolist() == [list(range(50))]


def test_training_needs_a_loss_truth_and_parameters() -> None:
    batch = SimilarityBackbone().collator([CandidateList(Photo("lost"), (Candidate(Place(1, 2)),))])
    with pytest.raises(GeorankerError, match=r"model\.loss is not set"):
        Ranker(SimilarityBackbone()).training_step(batch, 0)
    with pytest.raises(GeorankerError, match="photo lost: its place is not known"):
        Ranker(SimilarityBackbone(), MultiOrderDistance()).training_step(batch, 0)
    with pytest.raises(GeorankerError, match="ConsensusBackbone has nothing to train"):
        Ranker(ConsensusBackbone(), MultiOrderDistance()).configure_optimizers()


def test_saved_and_loaded_scores_are_the_same(small_run: Path, small_data: list[str], tmp_path: Path) -> None:
    folder = [f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=False"]
    cli = run_trainer(["fit", DEMO, *small_data, *folder, "--trainer.max_epochs=1"])
    cli.trainer.save_checkpoint(tmp_path / "ranker.ckpt")
    again = Ranker.load_from_checkpoint(tmp_path / "ranker.ckpt", weights_only=True)
    found = CandidatesFile(small_run / "candidates" / "test.parquet")[:]
    assert isinstance(cli.model, Ranker)
    for one, other in zip(cli.model.rank(found), again.rank(found), strict=True):
        assert [c.score for c in one.candidates] == [c.score for c in other.candidates]
        assert one.place == other.place


def test_a_ranker_made_in_python_is_saved_without_live_objects(tmp_path: Path) -> None:
    ranker = Ranker(EmbeddingBackbone(8, width=8), MultiOrderDistance(), radii_km=(50, 200))
    trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", enable_model_summary=False)
    trainer.strategy.connect(ranker)
    trainer.save_checkpoint(tmp_path / "ranker.ckpt")
    again = Ranker.load_from_checkpoint(
        tmp_path / "ranker.ckpt", backbone=EmbeddingBackbone(8, width=8), weights_only=True
    )
    assert again.hparams["radii_km"] == (50, 200)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in ranker.state_dict().items())
