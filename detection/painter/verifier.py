"""How a CLIP learns to look: crops of objects, empty places and scenes against what can be said of them.

Radford et al. 2021, arXiv 2103.00020, with one change: in a batch of few classes many texts are true of one crop, so
its target is spread over all texts that are (Khosla et al. 2020, arXiv 2004.11362), not only over its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from detection.painter.learning import Learner
from generator.foundation.device import autocast


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """A text of something seen: `kind` is a class, or what else it is; `attributes` are the words that it says."""

    text: str
    kind: str
    attributes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """A square crop (HWC uint8 RGB), all that is true of it, and one text that says some of that."""

    pixels: np.ndarray
    kind: str
    attributes: frozenset[str]
    saying: Saying

    def fits(self, saying: Saying) -> bool:
        """Whether nothing in a text is wrong for the crop."""
        return saying.kind == self.kind and saying.attributes <= self.attributes


def clip_learner(
    model: Any,
    processor: Any,
    tokenizer: Any,
    draw: Callable[[np.random.Generator], Sequence[Look]],
    device: torch.device,
    *,
    learning_rate: float,
    weight_decay: float = 0.05,
    ema_decay: float = 0.999,
) -> Learner:
    """Learner of a CLIP from batches of looks."""

    def loss(rng: np.random.Generator, _progress: float) -> torch.Tensor:
        looks = draw(rng)
        tokens = tokenizer([look.saying.text for look in looks], padding=True, truncation=True, return_tensors="pt")
        pixels = processor([look.pixels for look in looks], return_tensors="pt")["pixel_values"]
        true = torch.tensor([[look.fits(other.saying) for other in looks] for look in looks], device=device)
        with autocast(device):
            logits = model(
                pixel_values=pixels.to(device),
                input_ids=tokens.input_ids.to(device),
                attention_mask=tokens.attention_mask.to(device),
            ).logits_per_image.float()
        return (_spread_loss(logits, true) + _spread_loss(logits.T, true.T)) / 2

    return Learner(
        modules={"clip": model},
        loss=loss,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        ema_decay=ema_decay,
    )


def varied(pixels: np.ndarray, rng: np.random.Generator, *, turns: bool, flips: bool) -> np.ndarray:
    """Change a crop (HWC uint8 RGB) in ways that change nothing about what it shows.

    Soften it, since painted crops come through a VAE that smooths fine speckle, and shift its colours a little: less
    than what tells dark from pale.
    """
    if turns:
        pixels = np.rot90(pixels, int(rng.integers(4)))
    if flips and rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if rng.random() < 0.5:
        pixels = cv2.GaussianBlur(np.ascontiguousarray(pixels), (0, 0), float(rng.uniform(0.3, 1.5)))
    gain = rng.uniform(0.94, 1.06, 3) * rng.uniform(0.92, 1.08)
    return np.clip(pixels * gain + rng.uniform(-8, 8, 3), 0, 255).astype(np.uint8)


def _spread_loss(logits: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    target = true.float() / true.sum(1, keepdim=True)
    return torch.nn.functional.cross_entropy(logits, target)
