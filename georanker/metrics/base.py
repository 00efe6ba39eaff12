"""The contracts of the room: answers or scored lists go in batch by batch, one figure comes out.

A metric of answers subclasses `PlaceMetric`, a metric of scored lists `ListMetric`, and both say in `accumulate`
what to add up and in `compute` what the sums mean. Each has a functional twin in its file, for one batch.
"""

from __future__ import annotations

import functools
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from georanker.metrics.inputs import checked_radii, cleaned_lists, errors_km, exact_type

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class GeoMetric(Metric, ABC):
    """What all metrics of the room share: sums that stay exact, names for the figures, NaN before any photo."""

    is_differentiable = False
    full_state_update = False

    label: str = ""
    """The figure's name in logs; with radii, the part before the "@"."""
    radii_km: Tensor
    """(R,) kilometres, of the metrics that have radii."""

    def __init__(self) -> None:
        super().__init__()  # none of torchmetrics' own options: a YAML sees only what a metric itself takes

    def add_radii(self, radii_km: Sequence[float]) -> None:
        """Check radii and keep them as a state.

        As a state they move with the device, and a MetricCollection, which lets metrics of equal states share
        them, keeps metrics of different radii apart even if the first batch is all misses.
        """
        self.add_state("radii_km", checked_radii(radii_km), dist_reduce_fx="max")

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the figures of `compute`, such as "acc@25km"."""
        name = self.label or type(self).__name__
        if "radii_km" not in self._defaults:
            return (name,)
        return tuple(f"{name}@{radius:.10g}km" for radius in self.radii_km.tolist())

    def named(self, figures: Tensor) -> dict[str, Tensor]:
        """Give the figures of `compute` or of a forward pass their names, as `log_dict` takes them."""
        return dict(zip(self.labels, figures.reshape(-1).unbind(), strict=True))

    @property
    def dtype(self) -> torch.dtype:
        """Type of the sums, whatever the model runs in; torchmetrics also fills in for a process without data."""
        return exact_type(self.device)

    def plot(self, values: Tensor | Sequence[Tensor] | None = None, ax: Axes | None = None) -> tuple[Figure, Axes]:
        """Draw one result, or several as curves; by default the present one.

        Args:
            values: what `compute` or forward passes returned.
            ax: where to draw; a new figure by default.
        """
        values = self.compute() if values is None else values
        named = self.named(values) if isinstance(values, Tensor) else [self.named(value) for value in values]
        return cast("tuple[Figure, Axes]", self._plot(named, ax))

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> nn.Module:
        # `model.to(torch.bfloat16)`, Lightning's "bf16-true", would cast the sums too: only follow the device.
        def keep_type(state: Tensor) -> Tensor:
            device = fn(torch.zeros(1, dtype=torch.float32, device=state.device)).device
            if state.dtype == torch.float64 and exact_type(device) != torch.float64:
                return state.float().to(device)
            moved = fn(state)
            return moved if moved.dtype == state.dtype else state.to(device)

        return super()._apply(keep_type, exclude_state)

    def _wrap_compute(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        wrapped = super()._wrap_compute(compute)

        @functools.wraps(compute)
        def computed() -> Tensor:
            with warnings.catch_warnings():
                # A metric that saw no photo says so by NaN.
                warnings.filterwarnings("ignore", "The ``compute`` method", UserWarning)
                figures: Tensor = wrapped()
            # torchmetrics squeezes the vector of a single radius.
            return figures.reshape(self.radii_km.shape) if "radii_km" in self._defaults else figures

        return computed


class PlaceMetric(GeoMetric, ABC):
    """A figure of how far answers are from the truth."""

    def update(self, predicted: Tensor, truth: Tensor) -> None:
        """Count a batch of answers.

        Args:
            predicted: (B, 2) latitude and longitude in degrees, float32 or wider; NaN is a missing answer.
            truth: (B, 2) degrees.

        Raises:
            ValueError: the shapes differ, a coordinate is out of range or too coarse, or a photo has no truth.
        """
        self.accumulate(errors_km(predicted, truth))

    @abstractmethod
    def accumulate(self, errors_km: Tensor) -> None:
        """Add a batch: (B,) float64 kilometres of error, inf where the answer is missing."""


class ListMetric(GeoMetric, ABC):
    """A figure of how well scores order lists of candidates."""

    def update(self, scores: Tensor, distances_km: Tensor, mask: Tensor) -> None:
        """Count a batch of lists.

        Args:
            scores: (B, K), higher is nearer; NaN ranks last, and of equal scores the first candidate wins.
            distances_km: (B, K) from the truth to each candidate, float32 or wider.
            mask: (B, K) bool, True where a candidate is real; elsewhere anything may stand. The first real
                candidate is the retriever's own choice. A list without one is a missing answer.

        Raises:
            ValueError: the shapes differ, the mask is not bool, or a real candidate's distance is unknown,
                negative or too coarse.
        """
        self.accumulate(*cleaned_lists(scores, distances_km, mask))

    @abstractmethod
    def accumulate(self, scores: Tensor, distances_km: Tensor) -> None:
        """Add a batch.

        Args:
            scores: (B, K) without NaN, -inf in padding and above that elsewhere.
            distances_km: (B, K) float64, inf in padding and finite elsewhere.
        """
