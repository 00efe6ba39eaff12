"""A retriever that aligns photos with places."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from georanker.encoders.base import ImageEncoder, LocationEncoder
from georanker.hparams import live_arguments
from georanker.retrievers.base import Retriever
from georanker.retrievers.photo_collator import PhotoCollator
from georanker.schedules import Schedule, scheduled
from georanker.types import GeorankerError, Photo, PhotoBatch


class ContrastiveRetriever(Retriever):
    """Aligns an image encoder with a location encoder by symmetric InfoNCE.

    L = ½ [CE(τ x yᵀ) + CE(τ y xᵀ)] over the photos x and places y of a batch, where photo i belongs to place i.

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021; with
    places instead of text: Vivanco Cepeda et al., "GeoCLIP", NeurIPS 2023.
    The negatives are those of one process's batch, also where there are several processes.

    Args:
        image_encoder: photo -> vector.
        location_encoder: place -> vector of the same length.
        temperature: of the softmax at the start; it is learned.
        optimizer: makes the optimizer from the parameters.
        schedule: makes the learning rate's schedule from the optimizer and the number of steps; None for a constant.
    """

    def __init__(
        self,
        image_encoder: ImageEncoder,
        location_encoder: LocationEncoder,
        temperature: float = 0.07,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.AdamW(parameters, lr=1e-3),
        schedule: Schedule | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=live_arguments(locals()))
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, not {temperature:g}")
        if image_encoder.dim != location_encoder.dim:
            raise ValueError(
                f"image_encoder gives vectors of {image_encoder.dim} numbers and location_encoder of "
                f"{location_encoder.dim}; set both dim to the same"
            )
        self.image_encoder = image_encoder
        self.location_encoder = location_encoder
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self._optimizer = optimizer
        self._schedule = schedule

    @property
    def collator(self) -> Callable[[Sequence[Photo]], PhotoBatch]:
        """Makes the batches that `embed_photos` reads."""
        return PhotoCollator(self.image_encoder.image_size)

    def embed_photos(self, batch: PhotoBatch) -> Tensor:
        """Return (B, D) unit vectors."""
        return nn.functional.normalize(self.image_encoder(batch.pixels), dim=-1)

    def embed_places(self, places: Tensor) -> Tensor:
        """Return (N, D) unit vectors of (N, 2) degrees."""
        return nn.functional.normalize(self.location_encoder(places), dim=-1)

    def forward(self, batch: PhotoBatch) -> Tensor:
        """Return the (B, B) logits of each photo for each place of the batch."""
        scale = self.log_scale.clamp(max=math.log(100.0)).exp()  # CLIP's bound: beyond it training turns unstable
        return scale * self.embed_photos(batch) @ self.embed_places(batch.places).T

    def _info_nce(self, batch: PhotoBatch) -> Tensor:
        unknown = batch.places.isnan().any(1)
        if unknown.any():
            photo_id = batch.photo_ids[int(unknown.int().argmax())]
            raise GeorankerError(f"photo {photo_id}: its place is not known, so a retriever cannot learn from it")
        logits = self(batch)
        labels = torch.arange(len(batch), device=logits.device)
        cross_entropy = nn.functional.cross_entropy
        return (cross_entropy(logits, labels) + cross_entropy(logits.T, labels)) / 2

    def training_step(self, batch: PhotoBatch, batch_idx: int) -> Tensor:
        """Return InfoNCE of the batch."""
        loss = self._info_nce(batch)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch))
        return loss

    def validation_step(self, batch: PhotoBatch, batch_idx: int) -> None:
        """Log InfoNCE; a batch as large as in training makes the two comparable."""
        self.log("val/loss", self._info_nce(batch), prog_bar=True, batch_size=len(batch), sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer, and its schedule if there is one."""
        return scheduled(self._optimizer(self.parameters()), self._schedule, self.trainer)
