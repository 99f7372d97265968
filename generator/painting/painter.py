"""What paints: the seam between the rounds of a chunk and the models behind them.

A painter does three things (paint a background, repaint the masked part of a crop, draw the finest detail of a finished
picture anew) and says at which size it does them best. `stable_diffusion.py` is the one there is; another family of
models is another class with these methods. It is no pipeline of diffusers: it may hold several models, composes its
batches itself, and promises that a picture's bytes do not depend on its company.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from generator.config import Config

# A decoded picture this even (standard deviation over pixels, of 255) or this dark (maximum) is a failure of the
# number format or of the model, not a scene.
FLAT_STD, BLACK_MAX = 0.2, 6


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


class Painter(Protocol):
    """Paints jobs of any number, in their order; equal jobs give equal bytes, whatever is painted beside them.

    `batch_size` is how many go through the model together. All methods raise ModelError.
    """

    config: Config
    batch_size: int

    @property
    def native_px(self) -> int:
        """Side of the square crops that are inpainted best."""

    @property
    def size_multiple(self) -> int:
        """The sides of crops must be a multiple of this."""

    def paint_backgrounds(self, jobs: Sequence[BackgroundJob]) -> list[Painting]:
        """Paint whole pictures, of any size."""

    def inpaint(self, jobs: Sequence[InpaintJob]) -> list[Painting]:
        """Repaint parts of pictures. What is not masked may change, too: put it back afterwards."""

    def redraw(self, jobs: Sequence[RedrawJob], strength: float) -> list[Painting]:
        """Draw anew what is finer than a noise level (share of the training schedule) in pictures of any size."""


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
