"""Patches become vectors by a product of matrices, with the same numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from georanker.vlm.patch_embedding import multiplied_patches


@pytest.mark.parametrize(
    ("conv", "shape"),
    [
        (nn.Conv3d(3, 8, (2, 4, 4), (2, 4, 4), bias=False), (5, 3, 2, 4, 4)),
        (nn.Conv3d(3, 8, (2, 4, 4), (2, 4, 4)), (5, 3, 2, 8, 4)),
        (nn.Conv2d(3, 8, 4, 4), (5, 3, 4, 4)),
        (nn.Conv2d(3, 8, 4, 4), (5, 3, 12, 8)),
        (nn.Conv2d(4, 8, 3, padding=1), (5, 4, 3, 3)),
        (nn.Conv2d(4, 8, 3, groups=2), (5, 4, 3, 3)),
        (nn.Conv2d(4, 8, 2, dilation=2), (5, 4, 3, 3)),
    ],
)
def test_the_same_numbers_and_gradients(conv: nn.Module, shape: tuple[int, ...]) -> None:
    model, given = nn.Sequential(conv), torch.randn(shape, requires_grad=True)
    usual = model(given)
    (gradient,) = torch.autograd.grad(usual.square().sum(), given)
    with multiplied_patches(model):
        made = model(given)
        again = torch.autograd.grad(made.square().sum(), given)[0]
    torch.testing.assert_close(made, usual)
    torch.testing.assert_close(again, gradient)
    assert "forward" not in vars(conv)


def test_patches_alone_need_no_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("this is a convolution")

    conv = nn.Conv3d(3, 8, (2, 4, 4), (2, 4, 4))
    with monkeypatch.context() as patch, multiplied_patches(conv):
        patch.setattr(nn.functional, "conv3d", never)
        assert conv(torch.zeros(5, 3, 2, 4, 4)).shape == (5, 8, 1, 1, 1)
        with pytest.raises(AssertionError, match="convolution"):
            conv(torch.zeros(5, 3, 2, 8, 4))
