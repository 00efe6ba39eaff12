"""The LightningModule that joins a backbone, a loss and the metrics."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import lightning as L
import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from georanker.backbones.base import Backbone
from georanker.backbones.ranking_collator import RankingCollator
from georanker.geodesy import geodesic_km
from georanker.hparams import live_arguments
from georanker.losses.base import RankingLoss
from georanker.metrics.base import GeoMetric, ListMetric, PlaceMetric
from georanker.metrics.distance_accuracy import DistanceAccuracy
from georanker.metrics.gap_closed import GapClosed
from georanker.metrics.geo_score import GeoScore
from georanker.metrics.inputs import RADII_KM
from georanker.metrics.mean_error import MeanError
from georanker.metrics.median_error import MedianError
from georanker.metrics.regret import Regret
from georanker.pretrained import load_backbone, save_backbone
from georanker.recorded import quiet_building
from georanker.schedules import Schedule, scheduled
from georanker.types import CandidateList, GeorankerError, Localization, Photo, Place, RankingBatch

ANSWERS = ("retrieved", "ranked", "oracle")
"""Whose choice a figure judges: the retriever's, the ranker's, and the best that the list offers."""
UNREAD = torch.finfo(torch.float32).min
"""The score of a candidate that the backbone scored NaN, since it could not be read."""


class Ranker(L.LightningModule):
    """Scores the candidates of photos and answers with the best-scored place.

    Logs each place metric three times, for the retriever's first choice, the ranker's, and the best candidate, as
    `{stage}/{retrieved|ranked|oracle}/{metric}`, and each list metric once, as `{stage}/{metric}`.

    Args:
        backbone: scores candidates.
        loss: trains the backbone; None for a backbone that is not trained.
        metrics: judge places or lists; None for the field's: accuracy at the radii, median and mean error, GeoScore,
            regret and the gap closed.
        radii_km: of the field's metrics.
        optimizer: makes the optimizer from the parameters.
        schedule: makes the learning rate's schedule from the optimizer and the number of steps; None for a constant.
    """

    def __init__(
        self,
        backbone: Backbone,
        loss: RankingLoss | None = None,
        metrics: Sequence[GeoMetric] | None = None,
        radii_km: Sequence[float] = RADII_KM,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.AdamW(parameters, lr=1e-3),
        schedule: Schedule | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=live_arguments(locals()))
        self.backbone = backbone
        self.loss = loss
        metrics = _field_metrics(radii_km) if metrics is None else metrics
        self.list_metrics: list[ListMetric] = [metric for metric in metrics if isinstance(metric, ListMetric)]
        place_metrics = [metric for metric in metrics if isinstance(metric, PlaceMetric)]
        self.place_metrics: dict[str, list[PlaceMetric]] = {answer: copy.deepcopy(place_metrics) for answer in ANSWERS}
        # Lightning moves what is registered; the typed views above are for us.
        self.all_metrics = nn.ModuleList(metric for _, metric in self._metrics())
        self._saw_nan = False
        self._unread: Tensor | int = 0
        self._asked: Tensor | int = 0
        self._optimizer = optimizer
        self._schedule = schedule

    @property
    def collator(self) -> RankingCollator:
        """Makes the batches that this ranker reads."""
        return self.backbone.collator

    def forward(self, batch: RankingBatch) -> Tensor:
        """Return (B, K) float32 scores, -inf in padding."""
        scores: Tensor = self.backbone(batch)
        if not self._saw_nan and scores[batch.mask].isnan().any():
            self._saw_nan = True
            rank_zero_warn("the backbone scored candidates NaN; they rank last")
        return scores.masked_fill(~batch.mask, float("-inf"))

    @torch.inference_mode()
    def rank(self, lists: Sequence[CandidateList]) -> list[Localization]:
        """Answer for each photo, from its candidates."""
        batch = replace(self.collator(lists), lists=tuple(lists)).to(self.device)
        return self.eval().predict_step(batch, 0)

    def save_pretrained(self, folder: Path) -> None:
        """Write the backbone, how it is built and what was trained of it, for `from_pretrained`."""
        save_backbone(self.backbone, folder)

    @classmethod
    def from_pretrained(cls, source: str | Path) -> Self:
        """Build a ranker that was saved, ready to rank.

        Args:
            source: a folder that `save_pretrained` wrote, or a hub's id.

        Raises:
            GeorankerError: it is not such a folder, or a part of it does not fit.
        """
        return cls(load_backbone(source)).eval()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what the backbone need not save; not in `state_dict`, which FSDP gathers and wants whole."""
        names = self.backbone.saved_names
        if names is not None:
            kept = {f"backbone.{name}" for name in names}
            state = checkpoint["state_dict"]
            checkpoint["state_dict"] = {n: state[n] for n in state if n in kept or not n.startswith("backbone.")}

    @classmethod
    def load_from_checkpoint(cls, *args: Any, **kwargs: Any) -> Self:
        """Build a ranker from a checkpoint of the command line; see Lightning."""
        with quiet_building():
            return super().load_from_checkpoint(*args, **kwargs)

    def training_step(self, batch: RankingBatch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        if self.loss is None:
            raise GeorankerError("model.loss is not set, so there is nothing to train; name one, or use `test`")
        _require_truth(batch)
        loss: Tensor = self.loss(self.backbone(batch), batch.distances_km, self.backbone.trainable(batch))
        if not loss.requires_grad:  # nothing could be read: a gradient of 0, for which other processes wait
            loss = loss + 0 * torch.stack([p.sum() for p in self.parameters() if p.requires_grad]).sum()
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def validation_step(self, batch: RankingBatch, batch_idx: int) -> Tensor:
        """Count a batch, log its loss, and return its (B, K) scores for callbacks."""
        scores = self._count(batch)
        if self.loss is not None:
            loss = self.loss(scores, batch.distances_km, self.backbone.trainable(batch))
            self.log("val/loss", loss, prog_bar=True, batch_size=len(batch), sync_dist=True)
        return scores

    def test_step(self, batch: RankingBatch, batch_idx: int) -> Tensor:
        """Count a batch, and return its (B, K) scores for callbacks."""
        return self._count(batch)

    def predict_step(self, batch: RankingBatch, batch_idx: int) -> list[Localization]:
        """Return the answer for each photo of a batch that carries its lists."""
        self._tally(batch)
        return _localizations(batch, self(batch))

    def on_predict_epoch_end(self) -> None:
        """Tell what could not be read."""
        self._tell_unread()

    def on_validation_epoch_end(self) -> None:
        """Log the figures of the epoch."""
        self._log_figures("val")

    def on_test_epoch_end(self) -> None:
        """Log the figures of the test."""
        self._log_figures("test")

    def _count(self, batch: RankingBatch) -> Tensor:
        _require_truth(batch)
        self._tally(batch)
        scores: Tensor = self(batch)
        for list_metric in self.list_metrics:
            list_metric.update(scores, batch.distances_km, batch.mask)
        chosen = {
            "retrieved": torch.zeros(len(batch), dtype=torch.long, device=scores.device),
            "ranked": ranking(scores)[:, 0],
            "oracle": batch.distances_km.masked_fill(~batch.mask, float("inf")).argmin(1),
        }
        for answer, column in chosen.items():
            places = batch.places.gather(1, column[:, None, None].expand(-1, 1, 2)).squeeze(1)
            for place_metric in self.place_metrics[answer]:
                place_metric.update(places, batch.truth)
        return scores

    def _tally(self, batch: RankingBatch) -> None:
        self._unread = self._unread + (batch.mask & ~self.backbone.trainable(batch)).sum()
        self._asked = self._asked + batch.mask.sum()

    def _tell_unread(self) -> None:
        unread, asked = int(self._unread), int(self._asked)
        self._unread, self._asked = 0, 0
        if unread:  # each process of its own photos: one without any predicts nothing
            told = "%s of %s candidates could not be read and rank last; the warnings say why"
            logging.getLogger("georanker").warning(told, f"{unread:,}", f"{asked:,}")

    def _log_figures(self, stage: str) -> None:
        self._tell_unread()
        for prefix, metric in self._metrics():
            figures = metric.named(metric.compute())
            self.log_dict({f"{stage}/{prefix}{name}": figure.float() for name, figure in figures.items()})
            metric.reset()

    def _metrics(self) -> Iterator[tuple[str, GeoMetric]]:
        for list_metric in self.list_metrics:
            yield "", list_metric
        for answer, place_metrics in self.place_metrics.items():
            for place_metric in place_metrics:
                yield f"{answer}/", place_metric

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer of what can be trained, and its schedule if there is one."""
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        if not parameters:
            raise GeorankerError(f"{type(self.backbone).__name__} has nothing to train; use `test` or `predict`")
        return scheduled(self._optimizer(parameters), self._schedule, self.trainer)


def ranking(scores: Tensor) -> Tensor:
    """Order candidates best first: (B, K) scores -> (B, K) columns. Of equals the first wins, and NaN comes last."""
    return _comparable(scores).argsort(dim=1, descending=True, stable=True)


def _comparable(scores: Tensor) -> Tensor:
    return scores.nan_to_num(nan=UNREAD, neginf=float("-inf"))


def _localizations(batch: RankingBatch, scores: Tensor) -> list[Localization]:
    answers: list[Localization] = []
    order = ranking(scores).tolist()
    values = _comparable(scores).tolist()
    for row, found in enumerate(batch.lists):
        ranked = tuple(
            replace(found.candidates[column], score=values[row][column]) for column in order[row][: len(found)]
        )
        answers.append(Localization(found.photo, ranked, found.candidates[0], _error_km(found.photo, ranked[0].place)))
    return answers


def _error_km(photo: Photo, place: Place) -> float | None:
    if photo.place is None:
        return None
    points = torch.tensor([[p.latitude, p.longitude] for p in (photo.place, place)], dtype=torch.float64)
    return geodesic_km(points[0], points[1]).item()


def _require_truth(batch: RankingBatch) -> None:
    unknown = batch.truth.isnan().any(1)
    if unknown.any():
        photo_id = batch.photo_ids[int(unknown.int().argmax())]
        raise GeorankerError(f"photo {photo_id}: its place is not known, so it can only be used in `predict`")


def _field_metrics(radii_km: Sequence[float]) -> list[GeoMetric]:
    return [DistanceAccuracy(radii_km), MedianError(), MeanError(), GeoScore(), Regret(), GapClosed(radii_km)]
