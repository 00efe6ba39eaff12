"""The contract of backbones: what reads a photo's candidates and says how near each one is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from georanker.backbones.ranking_collator import RankingCollator
from georanker.files import file_beside
from georanker.recorded import Recorded
from georanker.types import GeorankerError, RankingBatch

WEIGHTS = "backbone.safetensors"


class Backbone(Recorded, nn.Module, ABC):
    """Scores candidates; it knows neither the loss that trains it nor the metrics that judge it."""

    comes_trained: bool = False
    """Whether it was built with weights that were trained to score candidates."""

    def save_weights(self, folder: Path) -> None:
        """Write the weights, as safetensors."""
        with file_beside(folder / WEIGHTS) as part:
            save_file({name: tensor.contiguous() for name, tensor in self.state_dict().items()}, part)

    def load_weights(self, folder: Path) -> None:
        """Read what `save_weights` wrote.

        Raises:
            GeorankerError: the file is missing or broken, or its weights are not those of this backbone.
        """
        try:
            self.load_state_dict(load_file(folder / WEIGHTS))
        except (OSError, SafetensorError) as error:
            raise GeorankerError(f"{folder / WEIGHTS}: cannot be read ({error})") from error
        except RuntimeError as error:
            raise GeorankerError(f"{folder / WEIGHTS}: {' '.join(str(error).split())}") from error

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
