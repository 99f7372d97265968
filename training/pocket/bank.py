"""Samples as the UNet meets them, encoded once: a bank of latents, kept beside the checkpoint of its run.

Encoding a sample costs more than a training step on it, and every sample is met a hundred times.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch.nn import functional

from generator.foundation.seeds import derive_rng
from generator.foundation.storage import write_bytes, write_json
from training.pocket.samples import Sample, SampleRecipe, draw_sample, measure_stain
from training.pocket.smears import Smear
from training.pocket.vae import encode, to_tensor

SAMPLES_AT_ONCE = 64
SECONDS_BETWEEN_LINES = 15.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Bank:
    """N samples: `latents` and `masked` (N, 4, h, w) float16, scaled, of the pictures and of the pictures with the
    masked part greyed out; `masks` (N, 1, h, w) float16, 1 where to repaint; captions. `seconds`: what it took.
    """

    latents: torch.Tensor
    masked: torch.Tensor
    masks: torch.Tensor
    captions: list[str]
    seconds: float

    def __len__(self) -> int:
        return len(self.captions)


def stream_samples(smears: Sequence[Smear], side_px: int, recipe: SampleRecipe, seed: int) -> Iterator[Sample]:
    """Endless samples, each from a generator of its own."""
    photos = [measure_stain(smear) for smear in smears]
    number = 0
    while True:
        yield draw_sample(photos, side_px, recipe, derive_rng(seed, number))
        number += 1


def fill_bank(
    samples: Iterator[Sample], vae: Any, device: torch.device, *, size: int, seconds: float, say: Callable[[str], None]
) -> Bank:
    """Encode samples until there are `size` of them or `seconds` have passed, 64 at least; the bank is on the device.

    As boxpaint does (painting/stable_diffusion.py): the masked part is 0, which is grey, and the mask is brought to the
    size of the latents by taking the nearest pixel.
    """
    start = said_at = time.monotonic()
    parts: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    captions: list[str] = []
    while len(captions) < size and (not captions or time.monotonic() - start < seconds):
        batch = [next(samples) for _ in range(min(SAMPLES_AT_ONCE, size - len(captions)))]
        pictures = to_tensor([sample.pixels for sample in batch], device)
        masks = torch.stack([torch.from_numpy(sample.mask) for sample in batch])[:, None].float().to(device)
        latents = encode(vae, pictures) * vae.config.scaling_factor
        masked = encode(vae, pictures * (1 - masks)) * vae.config.scaling_factor
        small = functional.interpolate(masks, size=latents.shape[-2:], mode="nearest")
        parts.append((latents.half(), masked.half(), small.half()))
        captions += [sample.caption for sample in batch]
        if time.monotonic() - said_at > SECONDS_BETWEEN_LINES:
            said_at = time.monotonic()
            say(f"inpaint: {len(captions)} samples encoded")
    latents, masked, small = (torch.cat(rows) for rows in zip(*parts, strict=True))
    return Bank(latents=latents, masked=masked, masks=small, captions=captions, seconds=time.monotonic() - start)


def save_bank(bank: Bank, path: Path, made_from: Mapping[str, str]) -> None:
    """Save as `path` (safetensors) and a JSON of captions beside it, which names what it was made from."""
    tensors = {"latents": bank.latents, "masked": bank.masked, "masks": bank.masks}
    write_bytes(path, save({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}))
    write_json(
        path.with_suffix(".json"), {"made_from": dict(made_from), "seconds": bank.seconds, "captions": bank.captions}
    )


def load_bank(path: Path, made_from: Mapping[str, str], device: torch.device) -> Bank | None:
    """Load a bank, or None where there is none or it was made from something else."""
    listing = path.with_suffix(".json")
    if not path.exists() or not listing.exists():
        return None
    told = json.loads(listing.read_text(encoding="utf-8"))
    if told["made_from"] != dict(made_from):
        return None
    tensors = load_file(path, device=str(device))
    return Bank(**tensors, captions=told["captions"], seconds=told["seconds"])


def remove_bank(path: Path) -> None:
    """Remove a bank's two files."""
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
