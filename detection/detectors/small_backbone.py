"""A backbone with a feature pyramid that trains from nothing on one CPU core in minutes; 0.3 M parameters.

Residual blocks of He et al. 2016 (arXiv 1512.03385, figure 5 left), pyramid of Lin et al. 2017 (arXiv 1612.03144).
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import nn
from torchvision.ops import FeaturePyramidNetwork

WIDTHS = (16, 24, 48, 64, 96)
PYRAMID_CHANNELS = 48
STRIDES = (8, 16, 32)


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels_out)
        self.second = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels_out)
        self.shortcut = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, C_in, H, W) -> (B, C_out, H / stride, W / stride)."""
        found = torch.relu(self.first_norm(self.first(features)))
        return torch.relu(self.second_norm(self.second(found)) + self.shortcut(features))


class SmallBody(nn.Module):
    """Stem and four blocks, each at half the size of the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, WIDTHS[0], 3, 2, 1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU(inplace=True)
        )
        self.blocks = nn.ModuleList(Block(before, after, 2) for before, after in pairwise(WIDTHS))

    def forward(self, images: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        """(B, 3, H, W) -> features at strides 8, 16 and 32 under '0', '1', '2'."""
        features = self.stem(images)
        maps = []
        for block in self.blocks:
            features = block(features)
            maps.append(features)
        return OrderedDict((str(number), each) for number, each in enumerate(maps[-len(STRIDES) :]))


class SmallBackbone(nn.Module):
    """Body and pyramid, as torchvision's detectors take them."""

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = PYRAMID_CHANNELS
        self.body = SmallBody()
        self.fpn = FeaturePyramidNetwork(list(WIDTHS[-len(STRIDES) :]), PYRAMID_CHANNELS)

    def forward(self, images: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        """(B, 3, H, W) -> (B, 48, H / s, W / s) for the strides s = 8, 16, 32."""
        return self.fpn(self.body(images))
