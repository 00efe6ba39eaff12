"""The contract of backbones: what reads a photo's candidates and says how near each one is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn

from georanker.backbones.ranking_collator import RankingCollator
from georanker.recorded import Recorded
from georanker.types import RankingBatch
from georanker.weights import read_weights, write_weights

WEIGHTS = "backbone.safetensors"


class Backbone(Recorded, nn.Module, ABC):
    """Scores candidates; it knows neither the loss that trains it nor the metrics that judge it."""

    for_speed: ClassVar[Collection[str]] = ()
    """Arguments that change no score beyond rounding; a job that was stopped may go on with others."""
    built_of: str = ""
    """Tells what no checkpoint of it holds, such as a language model's own weights; "" if there is nothing."""
    comes_trained: bool = False
    """Whether it was built with weights that were trained to score candidates."""

    def save_weights(self, folder: Path) -> None:
        """Write the weights, as safetensors."""
        write_weights(folder / WEIGHTS, self)

    def load_weights(self, folder: Path) -> None:
        """Read what `save_weights` wrote.

        Raises:
            GeorankerError: the file is missing or broken, or its weights are not those of this backbone.
        """
        read_weights(folder / WEIGHTS, self)

    @property
    def collator(self) -> RankingCollator:
        """Makes the batches that `forward` reads; picklable, without weights."""
        return RankingCollator()

    @property
    def saved_names(self) -> Collection[str] | None:
        """The names in `state_dict` that a checkpoint holds; None for all of them."""
        return None

    def trainable(self, batch: RankingBatch) -> Tensor:
        """Return (B, K) bool, the candidates that may enter a loss: all real ones, unless some could not be read."""
        return batch.mask

    @abstractmethod
    def forward(self, batch: RankingBatch) -> Tensor:
        """Return (B, K) float32 scores, higher is nearer, NaN for a candidate that could not be read.

        What stands in padding does not matter.
        """
