"""Laws of distances and means on the Earth; the comparison with an independent geodesic is in parity/."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from georanker.geodesy import (
    EARTH_RADIUS_KM,
    check_places,
    geodesic_km,
    haversine_km,
    spherical_mean,
    unit_vectors,
)

NAN = math.nan
BOTH_TYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])

# Where formulas for distances break: no distance at all, antipodes, poles, the antimeridian.
NASTY_PAIRS = [
    ((0.0, 0.0), (0.0, 0.0)),
    ((10.0, 20.0), (10.0, 20.0)),
    ((90.0, 0.0), (90.0, 0.0)),
    ((90.0, -30.0), (90.0, 120.0)),
    ((-90.0, 0.0), (-90.0, 180.0)),
    ((0.0, 0.0), (0.0, 180.0)),
    ((10.0, 20.0), (-10.0, -160.0)),
    ((90.0, 0.0), (-90.0, 0.0)),
    ((90.0, 0.0), (-90.0, 77.0)),
    ((0.0, 180.0), (0.0, -180.0)),
    ((37.0, 180.0), (37.0, -180.0)),
    ((10.0, 179.999), (10.0, -179.999)),
]


def some_places(count: int, seed: int = 0) -> Tensor:
    """(count, 2) float64, even over the sphere."""
    random = torch.Generator().manual_seed(seed)
    u, v = torch.rand(2, count, generator=random, dtype=torch.float64)
    return torch.stack([torch.rad2deg(torch.asin(2 * u - 1)), 360 * v - 180], 1)


def turned(places: Tensor, degrees: float) -> Tensor:
    """Places moved east, over the antimeridian if need be."""
    return torch.stack([places[..., 0], (places[..., 1] + degrees + 180) % 360 - 180], -1)


# -- check_places


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ([90.001, 0.0], r"latitude 90.001 is outside \[-90, 90\] degrees"),
        ([-91.0, 0.0], "latitude -91 is outside"),
        ([NAN, 181.0], r"longitude 181 is outside \[-180, 180\] degrees"),
        ([0.0, -math.inf], "longitude -inf is outside"),
    ],
)
def test_places_off_the_earth_are_an_error(place: list[float], message: str) -> None:
    places = torch.tensor([[0.0, 0.0], place])
    with pytest.raises(ValueError, match=message):
        check_places(places)
    with pytest.raises(ValueError, match=message):
        geodesic_km(places, torch.zeros(2))
    with pytest.raises(ValueError, match=message):
        geodesic_km(torch.zeros(2), places)


def test_places_have_two_coordinates() -> None:
    with pytest.raises(ValueError, match=r"places must have shape \(..., 2\), not \(2, 3\)"):
        check_places(torch.zeros(2, 3))


def test_the_rim_of_the_range_and_unknown_places_pass() -> None:
    check_places(torch.tensor([[90.0, 180.0], [-90.0, -180.0], [NAN, NAN]]))
    check_places(torch.empty(0, 2))


# -- geodesic_km


def test_geodesic_of_known_lines() -> None:
    """A degree along the equator is a π/180; the quarter meridian is 10,001.965729 km."""
    a = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    b = torch.tensor([[0.0, 1.0], [90.0, 0.0]])
    expected = torch.tensor([6378.137 * math.pi / 180, 10001.965729], dtype=torch.float64)
    torch.testing.assert_close(geodesic_km(a, b), expected, rtol=0, atol=1e-6)


def test_geodesic_is_a_distance() -> None:
    a, b, c = some_places(1000, 1), some_places(1000, 2), some_places(1000, 3)
    assert (geodesic_km(a, a) == 0).all()
    torch.testing.assert_close(geodesic_km(a, b), geodesic_km(b, a), rtol=0, atol=1e-9)
    assert (geodesic_km(a, c) <= geodesic_km(a, b) + geodesic_km(b, c) + 1e-9).all()
    torch.testing.assert_close(geodesic_km(turned(a, 77), turned(b, 77)), geodesic_km(a, b), rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("a", "b", "shape"),
    [
        ((2,), (2,), ()),
        ((1, 2), (2,), (1,)),
        ((4, 1, 2), (5, 2), (4, 5)),
        ((0, 2), (0, 2), (0,)),
        ((3, 0, 2), (1, 2), (3, 0)),
    ],
)
def test_geodesic_broadcasts(a: tuple[int, ...], b: tuple[int, ...], shape: tuple[int, ...]) -> None:
    km = geodesic_km(torch.zeros(a), torch.ones(b))
    assert km.shape == shape
    assert km.dtype == torch.float64
    torch.testing.assert_close(km, geodesic_km(torch.zeros(2), torch.ones(2)).expand(shape))


def test_geodesic_to_an_unknown_place_is_unknown() -> None:
    a = torch.tensor([[NAN, 0.0], [0.0, NAN], [0.0, 0.0]])
    assert geodesic_km(a, torch.zeros(2)).isnan().tolist() == [True, True, False]
    assert geodesic_km(torch.zeros(2), a).isnan().tolist() == [True, True, False]


def test_geodesic_carries_no_gradient_and_leaves_its_inputs() -> None:
    a = some_places(5).requires_grad_()
    before = a.detach().clone()
    assert not geodesic_km(a, a).requires_grad
    assert torch.equal(a, before)


# -- haversine_km


@BOTH_TYPES
@pytest.mark.parametrize(("a", "b"), NASTY_PAIRS)
def test_haversine_gradient_is_finite_everywhere(
    a: tuple[float, float], b: tuple[float, float], dtype: torch.dtype
) -> None:
    first = torch.tensor(a, dtype=dtype, requires_grad=True)
    second = torch.tensor(b, dtype=dtype, requires_grad=True)
    km = haversine_km(first, second)
    assert km.dtype == dtype
    for gradient in torch.autograd.grad(km, (first, second)):
        assert gradient.isfinite().all()
        # No step of a degree moves a place by more than a degree of a great circle.
        assert torch.linalg.vector_norm(gradient) <= EARTH_RADIUS_KM * math.pi / 180 * 1.001


def test_haversine_gradient_is_the_slope() -> None:
    a, b = some_places(50, 1).requires_grad_(), some_places(50, 2).requires_grad_()
    assert torch.autograd.gradcheck(haversine_km, (a, b), eps=1e-5, atol=1e-4)


@BOTH_TYPES
def test_haversine_is_near_the_geodesic(dtype: torch.dtype) -> None:
    """By 0.56 % of the distance; the radius is the mean one."""
    a, b = some_places(20_000, 1), some_places(20_000, 2)
    exact = geodesic_km(a, b)
    assert ((haversine_km(a.to(dtype), b.to(dtype)).double() - exact).abs() <= 0.0057 * exact).all()


def test_haversine_in_float32_keeps_metres_near_zero_and_at_antipodes() -> None:
    """The usual arcsin form is off by kilometres at antipodes, and the law of cosines at zero."""
    a = some_places(2000, 1).float()
    near = (a + 1e-3).clamp(-89, 89)
    antipodes = torch.stack([-a[:, 0], (a[:, 1] + 360) % 360 - 180], 1)
    for b in (near, antipodes, turned(antipodes, 0.01)):
        torch.testing.assert_close(
            haversine_km(a, b).double(), haversine_km(a.double(), b.double()), rtol=3e-7, atol=2e-3
        )


def test_haversine_is_a_distance_that_broadcasts() -> None:
    a, b = some_places(7, 1), some_places(5, 2)
    table = haversine_km(a[:, None], b)
    assert table.shape == (7, 5)
    torch.testing.assert_close(table, haversine_km(b, a[:, None]))
    torch.testing.assert_close(table, haversine_km(turned(a, 100)[:, None], turned(b, 100)))
    assert (haversine_km(a, a) == 0).all()
    assert haversine_km(torch.tensor([NAN, 0.0]), torch.zeros(2)).isnan()


# -- spherical_mean, unit_vectors


@BOTH_TYPES
def test_unit_vectors_lie_on_the_sphere(dtype: torch.dtype) -> None:
    places = torch.tensor([[0.0, 0.0], [0.0, 90.0], [90.0, 12.0], [0.0, 180.0]], dtype=dtype)
    expected = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]], dtype=dtype)
    torch.testing.assert_close(unit_vectors(places), expected, rtol=0, atol=1e-6)
    norms = torch.linalg.vector_norm(unit_vectors(some_places(100).to(dtype)), dim=-1)
    torch.testing.assert_close(norms, torch.ones(100, dtype=dtype))


@BOTH_TYPES
def test_mean_of_one_place_is_the_place(dtype: torch.dtype) -> None:
    places = torch.cat([some_places(50), torch.tensor([[0.0, 0.0], [89.9, 1.0], [0.0, 179.99]])]).to(dtype)
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    for alone in (places[:, None], places[:, None].expand(-1, 3, -1)):
        torch.testing.assert_close(spherical_mean(alone), places, rtol=0, atol=tolerance)
        weights = torch.full(alone.shape[:-1], 0.3, dtype=dtype)
        torch.testing.assert_close(spherical_mean(alone, weights), places, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([(0.0, 0.0), (0.0, 90.0)], (0.0, 45.0)),
        ([(10.0, 20.0), (-10.0, 20.0)], (0.0, 20.0)),
        ([(0.0, 179.0), (0.0, -177.0)], (0.0, -179.0)),  # over the antimeridian, not by way of Greenwich
        ([(80.0, 0.0), (80.0, 120.0), (80.0, -120.0)], (90.0, None)),  # around a pole
        ([(-80.0, 0.0), (-60.0, 180.0)], (-80.0, 180.0)),  # over a pole
    ],
)
def test_means_that_one_knows(places: list[tuple[float, float]], expected: tuple[float, float | None]) -> None:
    latitude, longitude = spherical_mean(torch.tensor(places, dtype=torch.float64)).tolist()
    assert latitude == pytest.approx(expected[0], abs=1e-9)
    if expected[1] is not None:  # a pole has every longitude
        assert longitude == pytest.approx(expected[1], abs=1e-9)


@BOTH_TYPES
def test_mean_is_never_off_the_earth(dtype: torch.dtype) -> None:
    """Radians of π or π/2 that round up would be degrees that `check_places` refuses."""
    rim = torch.tensor([[90.0, 0.0], [-90.0, 0.0], [0.0, 180.0], [0.0, -180.0], [-90.0, 180.0]], dtype=dtype)
    mean = spherical_mean(rim[:, None])
    check_places(mean)
    torch.testing.assert_close(unit_vectors(mean), unit_vectors(rim), rtol=0, atol=1e-6)


def test_weights_count_as_repetitions() -> None:
    places = some_places(3, 5)
    repeated = spherical_mean(places[[0, 0, 1, 2, 2, 2]])
    for scale in (1.0, 1e-30, 1e30):
        weights = scale * torch.tensor([2.0, 1.0, 3.0])
        torch.testing.assert_close(spherical_mean(places, weights), repeated, rtol=0, atol=1e-4)
    only_last = spherical_mean(places, torch.tensor([0.0, 0.0, 4.0], dtype=torch.float64))
    torch.testing.assert_close(only_last, places[2])


def test_mean_turns_with_the_places_and_forgets_their_order() -> None:
    places = some_places(40, 6).reshape(8, 5, 2)
    weights = torch.rand(8, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mean = spherical_mean(places, weights)
    for degrees in (13.0, 90.0, -170.0):
        torch.testing.assert_close(spherical_mean(turned(places, degrees), weights), turned(mean, degrees))
    torch.testing.assert_close(spherical_mean(places.flip(1), weights.flip(1)), mean)


@BOTH_TYPES
@pytest.mark.parametrize(
    ("places", "weights"),
    [
        ([(0.0, 0.0), (0.0, 180.0)], None),
        ([(90.0, 0.0), (-90.0, 0.0)], None),
        ([(12.0, 34.0), (-12.0, -146.0)], (2.0, 2.0)),
        ([(12.0, 34.0), (50.0, 60.0)], (0.0, 0.0)),
        ([(NAN, NAN), (50.0, 60.0)], None),
        ([(0.0, 0.0), (0.0, 120.0), (0.0, -120.0)], None),
    ],
)
def test_where_no_direction_is_the_mean_it_is_nan(
    places: list[tuple[float, float]], weights: tuple[float, ...] | None, dtype: torch.dtype
) -> None:
    weighted = None if weights is None else torch.tensor(weights, dtype=dtype)
    assert spherical_mean(torch.tensor(places, dtype=dtype), weighted).isnan().all()


def test_mean_of_no_place_is_nan() -> None:
    assert spherical_mean(torch.empty(3, 0, 2)).isnan().all()
    assert spherical_mean(torch.empty(3, 0, 2), torch.empty(3, 0)).isnan().all()


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 1), ()])
def test_haversine_takes_pairs(shape: tuple[int, ...]) -> None:
    pair, other = torch.zeros(2), torch.zeros(shape)
    for a, b in ((pair, other), (other, pair)):
        with pytest.raises(ValueError, match=r"places must have shape \(\.\.\., 2\), not"):
            haversine_km(a, b)
