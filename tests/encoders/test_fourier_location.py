"""The features are those of the formula, and belong to the weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from georanker.encoders.fourier_location import FourierLocationEncoder
from georanker.geodesy import EARTH_RADIUS_KM


@torch.no_grad()
def test_the_formula_in_float64() -> None:
    torch.manual_seed(0)
    encoder = FourierLocationEncoder(dim=7, scales_km=(2000.0, 100.0), features=10, hidden=9)
    places = np.array([[48.0, 2.0], [-33.0, 151.0], [89.0, -180.0]])
    latitude, longitude = np.deg2rad(places).T
    points = np.stack([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], 1)
    phases = points @ encoder.frequencies.double().numpy()
    features = torch.from_numpy(np.concatenate([points, np.cos(phases), np.sin(phases)], 1))
    expected = encoder.layers.double()(features)
    encoder.layers.float()
    torch.testing.assert_close(encoder(torch.from_numpy(places)).double(), expected, atol=1e-5, rtol=0)


def test_frequencies_have_the_scales_and_are_no_parameters() -> None:
    encoder = FourierLocationEncoder(scales_km=(3000.0, 30.0), features=4000)
    assert encoder.frequencies.shape == (3, 4000)
    for group, scale in zip(encoder.frequencies.view(3, 2, 2000).unbind(1), (3000.0, 30.0), strict=True):
        assert group.std().item() == pytest.approx(EARTH_RADIUS_KM / scale, rel=0.05)
    assert "frequencies" in dict(encoder.named_buffers())
    assert "frequencies" in encoder.state_dict()
    assert "frequencies" not in dict(encoder.named_parameters())


@pytest.mark.parametrize("scales", [(), (0.0,), (100.0, -1.0), (math.nan,), (100.0, math.nan)])
def test_scales_that_cannot_be(scales: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="scales_km must be positive"):
        FourierLocationEncoder(scales_km=scales)
