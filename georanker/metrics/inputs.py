"""What comes into a metric, checked and cleaned, and what all metrics ask of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from georanker.geodesy import geodesic_km

RADII_KM = (1.0, 25.0, 200.0, 750.0, 2500.0)  # street, city, region, country, continent: the field's convention
FARTHEST_KM = 20003.931458625447  # half a meridian, the longest geodesic of WGS84


def exact_type(device: torch.device) -> torch.dtype:
    """Type of sums and distances: float64, or float32 on MPS, which has no wider one."""
    return torch.float32 if device.type == "mps" else torch.float64


def checked_radii(radii_km: Sequence[float]) -> Tensor:
    """Radii as a float64 tensor, or ValueError if they are not positive, finite and rising."""
    radii = [float(radius) for radius in radii_km]
    rising = all(low < high for low, high in zip([0.0, *radii], radii, strict=False))
    if not radii or not rising or math.isinf(radii[-1]):
        raise ValueError(f"radii_km must be positive kilometres in rising order, not {list(radii_km)}")
    return torch.tensor(radii, dtype=torch.float64)


def within(km: Tensor, radii_km: Tensor) -> Tensor:
    """(B,) kilometres -> (B, R) bool, whether each is less than each radius."""
    return km[:, None] < radii_km.to(km)


def errors_km(predicted: Tensor, truth: Tensor) -> Tensor:
    """Check a batch of answers, as `PlaceMetric.update` says, and measure their errors.

    Returns:
        (B,) kilometres on the WGS84 ellipsoid, float64; inf where the answer is missing.

    >>> errors_km(torch.tensor([[0.0, 1.0], [float("nan"), 0.0]]), torch.zeros(2, 2)).round()
    tensor([111.,  inf], dtype=torch.float64)
    """
    for name, places in (("predicted", predicted), ("truth", truth)):
        if places.ndim != 2 or places.shape[1] != 2:
            raise ValueError(f"{name} must have shape (B, 2), not {tuple(places.shape)}")
        _refuse_coarse(name, places)
    if len(predicted) != len(truth):
        raise ValueError(f"{len(predicted)} predicted places, but {len(truth)} true ones")
    unknown = truth.isnan().any(-1)
    if unknown.any():
        raise ValueError(
            f"photo {int(unknown.int().argmax())} has no truth: the batch's `truth` is NaN there. "
            "Evaluate photos of known place only"
        )
    km = geodesic_km(predicted, truth)
    return km.masked_fill(km.isnan(), math.inf)


def cleaned_lists(scores: Tensor, distances_km: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Check a batch of lists, as `ListMetric.update` says, and replace what is not a number.

    Returns:
        Scores and distances as `ListMetric.accumulate` takes them.

    >>> nan = float("nan")
    >>> cleaned_lists(torch.tensor([[2.0, nan]]), torch.tensor([[5.0, nan]]), torch.tensor([[True, False]]))
    (tensor([[2., -inf]]), tensor([[5., inf]], dtype=torch.float64))
    """
    if scores.ndim != 2 or not scores.shape[1] or not scores.shape == distances_km.shape == mask.shape:
        shapes = ", ".join(str(tuple(x.shape)) for x in (scores, distances_km, mask))
        raise ValueError(f"scores, distances_km and mask must share a shape (B, K) with K > 0, not {shapes}")
    if mask.dtype != torch.bool:
        raise ValueError(f"mask must be bool, True where a candidate is real, not {mask.dtype}")
    _refuse_coarse("distances_km", distances_km)
    wrong = mask & ~((distances_km >= 0) & distances_km.isfinite())
    if wrong.any():
        row, column = (int(i) for i in wrong.nonzero()[0])
        raise ValueError(
            f"photo {row} of the batch: candidate {column} is {distances_km[row, column]:g} km from the truth. "
            "Evaluate photos of known place only, and mask padding"
        )
    scores = scores.detach()
    if scores.dtype != torch.float64:
        scores = scores.float()
    # Room for NaN below every number, and for padding below NaN.
    lowest = torch.finfo(scores.dtype).min
    scores = scores.clamp(min=lowest / 2).nan_to_num(nan=lowest, posinf=math.inf).masked_fill(~mask, -math.inf)
    distances_km = distances_km.detach().to(exact_type(distances_km.device))
    return scores, distances_km.masked_fill(~mask, math.inf)


def chosen_km(scores: Tensor, distances_km: Tensor) -> Tensor:
    """(B,) distance of the best-scored candidate of each cleaned list, inf if the list is empty."""
    # argmax gives the first of equal maxima, as torch documents it.
    return distances_km.gather(1, scores.argmax(1, keepdim=True)).squeeze(1)


def retrieved_km(distances_km: Tensor) -> Tensor:
    """(B,) distance of the first real candidate of each cleaned list, inf if the list is empty."""
    first = distances_km.isfinite().int().argmax(1, keepdim=True)
    return distances_km.gather(1, first).squeeze(1)


def _refuse_coarse(name: str, values: Tensor) -> None:
    if values.dtype in (torch.float16, torch.bfloat16):
        raise ValueError(f"{name} in {values.dtype} is off by kilometres: keep it in float32 or float64")
