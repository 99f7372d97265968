"""Enlarging by two with a convolution behind it, at 4/9 of the multiplications and the same result.

After "nearest", the three rows that a 3 x 3 kernel sees are only two different ones, so each of the four positions of
an enlarged pixel is a 2 x 2 convolution of the small picture, whose weights are sums of the large kernel's (sub-pixel
convolution: Shi et al. 2016, arXiv 1609.07009). Measured by benchmarks/throughput.py: a fifth of the VAE's decoder.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.upsampling import Upsample2D
from torch import nn

# Rows (and columns) of the 3 x 3 kernel that fall on the first and on the second of two small rows, for the upper and
# for the lower half of an enlarged pixel.
_FALLS_ON = (((0,), (1, 2)), ((0, 1), (2,)))


class SubpixelUpsample(nn.Module):
    """In place of an `Upsample2D` with a 3 x 3 convolution: (B, C, H, W) -> (B, C_out, 2 H, 2 W)."""

    def __init__(self, source: Upsample2D):
        super().__init__()
        conv: Any = source.conv
        # Sums in full precision: the rounding to a shorter format comes last, as for any weight.
        kernel = conv.weight.detach().double()
        for half, (rows, columns) in enumerate((rows, columns) for rows in _FALLS_ON for columns in _FALLS_ON):
            parts = [
                torch.stack([kernel[:, :, row][:, :, :, column].sum((2, 3)) for column in columns], dim=-1)
                for row in rows
            ]
            weight = torch.stack(parts, dim=-2).to(conv.weight.dtype)
            self.register_buffer(f"weight_{half}", weight, persistent=False)
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach(), persistent=False)

    def forward(self, hidden_states: torch.Tensor, output_size: Any = None) -> torch.Tensor:
        """`output_size` is what diffusers passes for sides that do not halve evenly; the painter has none of those."""
        batch, _, height, width = hidden_states.shape
        if output_size is not None and tuple(output_size) != (2 * height, 2 * width):
            raise ValueError(f"twice {height} x {width} was expected, not {tuple(output_size)}")
        padded = nn.functional.pad(hidden_states, (1, 1, 1, 1))
        enlarged: torch.Tensor | None = None
        for half in range(4):
            y, x = divmod(half, 2)
            part = nn.functional.conv2d(
                padded[:, :, y : y + height + 1, x : x + width + 1],
                self.get_buffer(f"weight_{half}"),
                self._buffers["bias"],
            )
            if enlarged is None:
                size = batch, part.shape[1], 2 * height, 2 * width
                enlarged = torch.empty(size, dtype=part.dtype, device=part.device, memory_format=torch.channels_last)
            enlarged[:, :, y::2, x::2] = part
        assert enlarged is not None
        return enlarged


def with_fast_upsampling(model: nn.Module) -> int:
    """Replace, in a UNet or VAE of diffusers, every enlargement that this is equal to; returns how many there were."""
    replaced = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Upsample2D) and _is_plain(child):
                new = SubpixelUpsample(child)
                if isinstance(parent, nn.ModuleList):
                    parent[int(name)] = new
                else:
                    setattr(parent, name, new)
                replaced += 1
    return replaced


def _is_plain(module: Upsample2D) -> bool:
    conv = getattr(module, "conv", None)
    return (
        isinstance(conv, nn.Conv2d)
        and not module.use_conv_transpose
        and module.interpolate
        and module.norm is None
        and conv.kernel_size == (3, 3)
        and conv.padding == (1, 1)
        and conv.groups == 1
    )
