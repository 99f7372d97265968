"""Enlarging by sums of weights gives what enlarging and convolving gives."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.upsampling import Upsample2D
from torch import nn

from generator.painting.upsampling import SubpixelUpsample, with_fast_upsampling


def _upsample(channels: int, out_channels: int, **settings: object) -> Upsample2D:
    torch.manual_seed(0)
    return Upsample2D(channels, use_conv=True, out_channels=out_channels, **settings).requires_grad_(False).eval()


@pytest.mark.parametrize(
    ("batch", "channels", "out_channels", "height", "width"),
    [(1, 1, 1, 1, 1), (2, 3, 5, 4, 6), (1, 8, 8, 5, 3), (3, 16, 4, 1, 7)],
)
def test_is_equal_to_the_enlargement_it_replaces(
    batch: int, channels: int, out_channels: int, height: int, width: int
) -> None:
    slow = _upsample(channels, out_channels)
    x = torch.randn(batch, channels, height, width)
    torch.testing.assert_close(SubpixelUpsample(slow)(x), slow(x), atol=1e-5, rtol=1e-5)


def test_sides_by_hand() -> None:
    slow = _upsample(1, 1, bias=False)
    slow.conv.weight = nn.Parameter(torch.arange(1.0, 10.0).view(1, 1, 3, 3), requires_grad=False)
    # One pixel of 1: enlarged it is 2 x 2 ones, and each output is the sum of the weights that fall on them.
    found = SubpixelUpsample(slow)(torch.ones(1, 1, 1, 1))
    assert found[0, 0].tolist() == [[5 + 6 + 8 + 9, 4 + 5 + 7 + 8], [2 + 3 + 5 + 6, 1 + 2 + 4 + 5]]


def test_a_size_that_is_not_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice 2 x 3"):
        SubpixelUpsample(_upsample(1, 1))(torch.ones(1, 1, 2, 3), output_size=(5, 6))


def test_only_equal_enlargements_are_replaced() -> None:
    model = nn.ModuleDict(
        {
            "list": nn.ModuleList([_upsample(2, 2), nn.Identity()]),
            "own": nn.Sequential(_upsample(2, 2, kernel_size=5, padding=2)),
            "bare": Upsample2D(2),
            "transposed": Upsample2D(2, use_conv_transpose=True),
        }
    )
    assert with_fast_upsampling(model) == 1
    assert isinstance(model["list"][0], SubpixelUpsample)
    assert isinstance(model["own"][0], Upsample2D)
