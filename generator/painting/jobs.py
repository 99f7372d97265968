"""What the painter is asked for, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

# A decoded picture this even (standard deviation over pixels, of 255) or this dark (maximum) is a failure of the
# number format or of the model, not a scene.
FLAT_STD, BLACK_MAX = 1.0, 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BackgroundJob:
    """Paint a whole picture of `size_wh` pixels."""

    prompt: str
    negative_prompt: str
    seed: int
    size_wh: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InpaintJob(BackgroundJob):
    """Repaint `image` (HWC uint8 RGB, of size_wh) where `mask` (HW bool) is true."""

    image: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RedrawJob(BackgroundJob):
    """Draw the finest detail of `image` (HWC uint8 RGB, of size_wh) anew, all over."""

    image: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Painting:
    """One result: HWC uint8 RGB, and why it cannot be used ("" when it can)."""

    pixels: np.ndarray
    fault: str


def to_tensor(images: np.ndarray) -> torch.Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pixels(decoded: torch.Tensor) -> np.ndarray:
    """(B, 3, H, W) -> (B, H, W, 3) float32 in [0, 255], not clipped."""
    pixels: np.ndarray = ((decoded + 1) * 127.5).permute(0, 2, 3, 1).numpy()
    return pixels


def to_painting(picture: np.ndarray) -> Painting:
    """Round (H, W, 3) float32 in [0, 255] to a picture, and say what is wrong with it."""
    if not np.isfinite(picture).all():
        return Painting(pixels=np.zeros(picture.shape, np.uint8), fault="the model painted NaN")
    pixels = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    fault = ""
    if pixels.max() <= BLACK_MAX:
        fault = "the model painted black"
    elif pixels.std(axis=(0, 1)).max() < FLAT_STD:
        fault = "the model painted one flat colour"
    return Painting(pixels=pixels, fault=fault)
