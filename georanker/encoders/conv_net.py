"""A small convolutional network, trained from scratch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from georanker.encoders.base import ImageEncoder


class ConvNet(ImageEncoder):
    """Five convolutions on photos of half the size: small enough to train on two cores in minutes.

    Args:
        dim: length of the vectors.
        width: channels after the first convolution; the last has eight times as many.
        image_size: pixels along each side.
    """

    def __init__(self, dim: int = 128, width: int = 32, image_size: int = 64) -> None:
        super().__init__()
        self.image_size, self.dim = image_size, dim
        channels = (3, width, 2 * width, 4 * width, 4 * width, 8 * width)
        strides = (2, 2, 2, 1, 1)
        self.layers = nn.Sequential(nn.AvgPool2d(2))  # noise averages out, and the rest has a quarter of the work
        for inputs, outputs, stride in zip(channels[:-1], channels[1:], strides, strict=True):
            self.layers.append(nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False))
            self.layers.append(nn.BatchNorm2d(outputs))
            self.layers.append(nn.ReLU())
        self.head = nn.Linear(2 * channels[-1], dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode (B, 3, image_size, image_size) uint8 RGB as (B, dim)."""
        x: Tensor = pixels.to(self.head.weight.dtype).div(127.5).sub(1).to(memory_format=torch.channels_last)
        x = self.layers(x)
        # The mean says what there is, the maximum says what stands out.
        vectors: Tensor = self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1))
        return vectors
