"""What a photo looks like in 36 numbers, so that one of another kind stands out.

A retriever's vectors do not tell: a network maps whatever it is shown to a vector, and those of a portrait lie among
those of the tiles that it was trained on. What the pixels say by themselves does.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

_SIDE = 64
_FLOOR = 1e-3
COUNT = 36
MOST = 4096
"""Photos of a gallery whose looks are kept: enough for the covariance of 36 numbers."""


def looks(pixels: Tensor) -> Tensor:
    """Return (B, 36) float32: colours, contrast by scale and its tails, direction of edges, and layout.

    On squares of 64 pixels, in grey and, half as fine, two opponent colours: means, deviations and correlations; the
    energy of five bands of a Laplacian pyramid; for the three finest, the kurtosis and how much more edges run one way
    than the other, both of grey; the top half against the bottom, and the middle against all.

    Source: energies and tails of pyramid bands tell kinds of images apart; Torralba and Oliva, "Statistics of natural
    image categories", Network 2003.

    Args:
        pixels: (B, 3, S, S) uint8.
    """
    images = pixels.float() / 255
    if pixels.shape[-1] != _SIDE:
        images = nn.functional.interpolate(images, size=(_SIDE, _SIDE), mode="area")
    red, green, blue = images.unbind(1)
    image = torch.stack([(red + green + blue) / 3, red - green, blue - (red + green) / 2], dim=1)
    # JPEG and WebP keep colours at half the resolution: finer ones would tell the format and not the content.
    soft = nn.functional.interpolate(nn.functional.avg_pool2d(image[:, 1:], 2), scale_factor=2.0, mode="nearest")
    image = torch.cat([image[:, :1], soft], dim=1)
    numbers = [image.mean((2, 3)), _log(image.std((2, 3)))]
    scale = image
    for step in range(5):
        coarser = nn.functional.avg_pool2d(scale, 2)
        band = scale - nn.functional.interpolate(coarser, scale_factor=2.0, mode="nearest")
        numbers.append(_log(band.square().mean((2, 3)).sqrt()))
        if step < 3:
            grey, power = scale[:, :1], band[:, :1].square()
            numbers.append(_log(power.square().mean((2, 3)) / (power.mean((2, 3)).square() + 1e-10)))
            numbers.append(_log(grey.diff(dim=3).abs().mean((2, 3))) - _log(grey.diff(dim=2).abs().mean((2, 3))))
        scale = coarser
    half, quarter = _SIDE // 2, _SIDE // 4
    numbers.append(image[:, :, :half].mean((2, 3)) - image[:, :, half:].mean((2, 3)))
    middle = slice(quarter, _SIDE - quarter)
    mean = image.mean((2, 3))
    numbers.append(image[:, :, middle, middle].mean((2, 3)) - mean)
    off = (image - mean[..., None, None]).flatten(2)
    covariance = off @ off.mT / off.shape[2]
    deviation = covariance.diagonal(dim1=1, dim2=2).sqrt() + _FLOOR
    correlation = covariance / (deviation[:, :, None] * deviation[:, None])
    numbers.append(correlation[:, [0, 0, 1], [1, 2, 2]])
    return torch.cat(numbers, dim=1)


def _log(values: Tensor) -> Tensor:
    return (values + _FLOOR).log()


class UsualLooks:
    """How a kind of photos looks, as a Gaussian: the farther out, the less usual.

    d² = (x - μ)ᵀ Σ⁻¹ (x - μ), judged by its rank among the d² of the known photos, each from the μ and Σ of the others:
    from their own, photos lie too near if there are few of them. A rank cannot be smaller than one of so many, so that
    few photos call nothing odd.

    Source: Lee et al., "A simple unified framework for detecting out-of-distribution samples", NeurIPS 2018, on pixels
    rather than features; the rank is the p-value of conformal prediction (Vovk et al., 2005).

    Args:
        known: (M, F) looks of photos of this kind.
    """

    def __init__(self, known: np.ndarray) -> None:
        known = known.astype(np.float64)
        count = len(known)
        self._mean = known.mean(0)
        off = known - self._mean
        scatter = off.T @ off
        scatter += np.diag(1e-4 * np.diag(scatter) + 1e-8)  # looks that never vary would have no inverse
        self._inverse = np.linalg.inv(scatter)
        # Without photo i the scatter loses c v vᵀ, v = x - μ: Sherman and Morrison's formula, exact up to the ridge.
        own = np.einsum("nd,de,ne->n", off, self._inverse, off)
        share = count / max(count - 1, 1)
        others = share**2 * own / np.maximum(1 - share * own, 1e-9)
        self._distances = np.sort(others)

    def share_odder(self, photos: np.ndarray) -> np.ndarray:
        """Return the share of the known photos that lie as far out as each of (B, F) looks, or farther."""
        off = photos.astype(np.float64) - self._mean
        squared = np.einsum("nd,de,ne->n", off, self._inverse, off)
        farther = len(self._distances) - np.searchsorted(self._distances, squared, side="left")
        share: np.ndarray = (1 + farther) / (1 + len(self._distances))
        return share
