"""Laws that every encoder keeps. The encoders are found, not listed: a new file is tested without an edit here."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from georanker.discovery import classes
from georanker.encoders.base import ImageEncoder, LocationEncoder

FOUND = [found for found in classes("georanker.encoders") if not inspect.isabstract(found)]
READY = [
    found
    for found in FOUND
    if not any(
        p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD for p in inspect.signature(found).parameters.values()
    )
]
IMAGES = [found for found in READY if issubclass(found, ImageEncoder)]
LOCATIONS = [found for found in READY if issubclass(found, LocationEncoder)]
every_image = pytest.mark.parametrize("found", IMAGES, ids=lambda found: found.__name__)
every_location = pytest.mark.parametrize("found", LOCATIONS, ids=lambda found: found.__name__)
every = pytest.mark.parametrize("found", [*IMAGES, *LOCATIONS], ids=lambda found: found.__name__)


def made(found: type[nn.Module], seed: int = 0) -> ImageEncoder | LocationEncoder:
    torch.manual_seed(seed)
    encoder = found()
    assert isinstance(encoder, ImageEncoder | LocationEncoder)
    return encoder.eval()


def examples(encoder: ImageEncoder | LocationEncoder, count: int = 3) -> Tensor:
    random = torch.Generator().manual_seed(1)
    if isinstance(encoder, ImageEncoder):
        size = encoder.image_size
        return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=random)
    unit = torch.rand(count, 2, dtype=torch.float64, generator=random)
    return unit * torch.tensor([180.0, 360.0]) - torch.tensor([90.0, 180.0])


def test_the_room_is_found() -> None:
    assert {found.__name__ for found in FOUND} >= {"ConvNet", "EfficientNetLite0", "FourierLocationEncoder"}
    assert all(issubclass(found, ImageEncoder | LocationEncoder) for found in FOUND)


@every
@torch.no_grad()
def test_vectors_of_the_length_it_says(found: type[nn.Module]) -> None:
    encoder = made(found)
    batch = examples(encoder)
    vectors = encoder(batch)
    assert vectors.shape == (3, encoder.dim)
    assert vectors.dtype == torch.float32
    assert vectors.isfinite().all()
    assert (vectors[0] - vectors[1]).abs().max() > 1e-4, "different inputs have different vectors"
    for row in range(3):
        torch.testing.assert_close(encoder(batch[row : row + 1])[0], vectors[row], atol=1e-5, rtol=1e-4)


@every
@torch.no_grad()
def test_saved_and_loaded_it_is_the_same(found: type[nn.Module], tmp_path: Path) -> None:
    encoder, other = made(found, seed=0), made(found, seed=1)
    batch = examples(encoder)
    vectors = encoder(batch)
    assert not torch.equal(other(batch), vectors)
    torch.save(encoder.state_dict(), tmp_path / "weights.pt")
    other.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert torch.equal(other(batch), vectors)
    assert torch.equal(copy.deepcopy(encoder)(batch), vectors)


@every
def test_every_weight_that_can_learn_does(found: type[nn.Module]) -> None:
    encoder = made(found).train()
    encoder(examples(encoder)).square().sum().backward()
    learning = {name: p.grad for name, p in encoder.named_parameters() if p.requires_grad}
    assert learning
    for name, grad in learning.items():
        assert grad is not None, f"{name} has no gradient, which stops training in several processes"
        assert grad.isfinite().all(), name


@every
@torch.no_grad()
def test_half_precision_follows_the_weights(found: type[nn.Module]) -> None:
    encoder = made(found).bfloat16()
    assert encoder(examples(encoder)).dtype == torch.bfloat16


@every_image
@torch.no_grad()
def test_black_and_white_are_both_numbers(found: type[nn.Module]) -> None:
    encoder = made(found)
    black = torch.zeros_like(examples(encoder, 1))
    dark, bright = encoder(black), encoder(black + 255)
    assert dark.isfinite().all()
    assert bright.isfinite().all()
    assert not torch.allclose(dark, bright)


@every_location
@torch.no_grad()
def test_any_leading_dimensions(found: type[nn.Module]) -> None:
    encoder = made(found)
    places = examples(encoder, 6)
    vectors = encoder(places)
    torch.testing.assert_close(encoder(places.view(2, 3, 2)).view(6, -1), vectors, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(encoder(places[0]), vectors[0], atol=1e-6, rtol=1e-5)


@every_location
@torch.no_grad()
def test_the_sphere_has_no_seam(found: type[nn.Module]) -> None:
    encoder = made(found)
    for one, other in (
        ([12.0, 180.0], [12.0, -180.0]),
        ([-70.0, 179.99999], [-70.0, -179.99999]),
        ([90.0, 0.0], [90.0, 137.0]),
        ([-90.0, -180.0], [-90.0, 5.0]),
        ([89.99999, 10.0], [89.99999, -170.0]),
    ):
        a, b = encoder(torch.tensor([one, other], dtype=torch.float64))
        torch.testing.assert_close(a, b, atol=2e-4, rtol=0)


@every_location
@torch.no_grad()
def test_near_places_have_near_vectors_everywhere(found: type[nn.Module]) -> None:
    """A kilometre moves a vector as much at the equator as at the antimeridian and near the poles."""
    encoder = made(found)
    moved = []
    for latitude, longitude in ((0.0, 0.0), (0.0, 179.995), (60.0, 179.99), (89.5, 0.0), (-89.5, 90.0)):
        north = torch.tensor([[latitude, longitude], [latitude + 0.009, longitude]], dtype=torch.float64)
        a, b = encoder(north)
        moved.append((a - b).norm().item())
    assert max(moved) < 0.1 * encoder(examples(encoder, 50)).std(0).norm().item()
    assert min(moved) > 0
    assert max(moved) < 3 * min(moved)
