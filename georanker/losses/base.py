"""The contract of the losses: scores of candidates and their true distances become one number to minimise."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class RankingLoss(nn.Module, ABC):
    """A loss on lists of candidates.

    What every loss keeps to, and what the law tests check of each subclass that they find:

    - the loss of a batch is the mean over its lists; a list that offers no comparison (fewer than two real
      candidates, or all at one distance) counts as 0 and does count in that mean;
    - padding may hold anything, NaN too, and gets a gradient of exactly 0;
    - half-precision scores are computed in float32;
    - the order of the candidates in a list plays no part, except to break ties.
    """

    shift_invariant: bool = True
    """Whether adding one number to all scores of a list leaves the loss as it is."""
    ranks_nearest_first: bool = True
    """Whether following the gradient puts the nearest candidate first; if not, join it with a loss that does."""

    def __init__(self) -> None:
        super().__init__()  # so that a subclass without settings shows none, instead of nn.Module's *args

    @abstractmethod
    def forward(self, scores: Tensor, distances_km: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the loss of a batch.

        Args:
            scores: (B, K), higher is nearer.
            distances_km: (B, K) true distances of the candidates from where the photo was taken; no gradient
                flows into them.
            mask: (B, K) bool, True where a candidate is real; all are by default.

        Returns:
            A scalar: float64 for float64 scores, otherwise float32.

        Raises:
            ValueError: shapes differ, the mask is not bool, or a real candidate's distance is NaN, infinite or
                negative.
        """

    def extra_repr(self) -> str:
        """Show the constructor's arguments when the loss is printed."""
        names = inspect.signature(type(self)).parameters
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names if hasattr(self, name))


def prepare(scores: Tensor, distances_km: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Check a batch and make it safe to compute with: full precision, and zeros where there is padding.

    Args:
        scores: (B, K) of any floating type.
        distances_km: (B, K).
        mask: (B, K) bool or None.

    Returns:
        Scores, distances and mask, (B, K) each. float64 stays what it is, all else becomes float32.

    Raises:
        ValueError: as `RankingLoss.forward`.

    >>> prepare(torch.tensor([[2.0, 5.0]]), torch.tensor([[7.0, float("nan")]]), torch.tensor([[True, False]]))
    (tensor([[2., 0.]]), tensor([[7., 0.]]), tensor([[ True, False]]))
    """
    if scores.dim() != 2 or not scores.numel():
        raise ValueError(f"scores must have shape (lists, candidates), neither of them 0, not {tuple(scores.shape)}")
    for name, tensor in (("distances_km", distances_km), ("mask", mask)):
        if tensor is not None and tensor.shape != scores.shape:
            raise ValueError(f"scores have shape {tuple(scores.shape)}, but {name} {tuple(tensor.shape)}")
    if mask is None:
        mask = torch.ones_like(scores, dtype=torch.bool)
    elif mask.dtype != torch.bool:
        raise ValueError(f"mask must be bool, True where a candidate is real, not {mask.dtype}")
    # Padding goes first: a NaN that enters arithmetic comes back in the gradient, even of what is masked later.
    scores = _full_precision(scores).masked_fill(~mask, 0.0)
    distances_km = _full_precision(distances_km.detach()).masked_fill(~mask, 0.0)
    wrong = ~((distances_km >= 0) & (distances_km < torch.inf))  # so written, it is true for NaN
    if wrong.any():
        row, column = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"distances_km[{row}, {column}] is {distances_km[row, column].item():g}: a real candidate needs a "
            "finite distance of 0 km or more; mask it out where the distance is unknown"
        )
    return scores, distances_km, mask


def mean_over_lists(losses: Tensor, distances_km: Tensor, mask: Tensor) -> Tensor:
    """Average over lists, where a list that offers no comparison counts as 0.

    Args:
        losses: (B,) a loss for each list.
        distances_km: (B, K), prepared.
        mask: (B, K) bool.

    Returns:
        A scalar.

    >>> losses, mask = torch.tensor([6.0, 9.0]), torch.ones(2, 2, dtype=torch.bool)
    >>> mean_over_lists(losses, torch.tensor([[1.0, 2.0], [3.0, 3.0]]), mask)
    tensor(3.)
    """
    nearest = distances_km.masked_fill(~mask, torch.inf).amin(-1)
    farthest = distances_km.masked_fill(~mask, -torch.inf).amax(-1)
    return torch.where(nearest < farthest, losses, 0.0).mean()


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Average over all dimensions but the first, where `mask` is True; 0 where it is True nowhere.

    Args:
        values: (B, ...).
        mask: (B, ...) bool.

    Returns:
        (B,).
    """
    dims = tuple(range(1, values.dim()))
    return torch.where(mask, values, 0.0).sum(dims) / mask.sum(dims).clamp(min=1)


def nearer(distances_km: Tensor, mask: Tensor) -> Tensor:
    """Pairs of real candidates of which the first is nearer; equal distances are no comparison.

    Args:
        distances_km: (B, K), prepared.
        mask: (B, K) bool.

    Returns:
        (B, K, K) bool, True at [b, i, j] where candidate i is nearer than candidate j.
    """
    closer = distances_km[:, :, None] < distances_km[:, None, :]
    return closer & mask[:, :, None] & mask[:, None, :]


def require_positive(name: str, value: float) -> None:
    """Raise ValueError unless a setting is a positive, finite number."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a positive number, not {value:g}")


def require_top(name: str, top: int | None) -> None:
    """Raise ValueError unless a number of candidates is at least 1, or None for all."""
    if top is not None and top < 1:
        raise ValueError(f"{name} must be at least 1, not {top}")


def _full_precision(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
