"""A small network that looks at single patches; it learns whatever seam there is, also one that nobody thought of."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from generator.audit.places import Patches
from generator.foundation.seeds import derive_seed
from generator.foundation.training import Budget, Player, one_thread, train

_STEPS, _BATCH, _RATE, _WARMUP = 300, 64, 2e-3, 20
_WIDTHS = (24, 32, 48)


class PatchNet(nn.Module):
    """(B, 8, 32, 32) -> (B,) logits: colours, what is left of them after a blur, what is known, and the row."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 8
        for width in _WIDTHS:
            layers += [
                nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
                nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
                nn.AvgPool2d(2),
            ]  # fmt: skip
            before = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(2 * before, 1)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Judge patches."""
        found = self.body(batch)
        pooled = torch.cat([found.mean(dim=(2, 3)), found.amax(dim=(2, 3))], dim=1)
        logits: torch.Tensor = self.head(pooled)[:, 0]
        return logits


def fit_and_judge(
    patches: Patches, labels: np.ndarray, learned: np.ndarray, test: np.ndarray, *, seed: int
) -> np.ndarray:
    """Learn from the patches `learned` (positions) with their labels (N,) and judge those of `test`: logits (T,).

    One thread and a seed of its own: the same patches give the same judgement.
    """
    with one_thread():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, 0))
            net = PatchNet()
        _fit(net, patches, labels, learned, seed=seed)
        return _judge(net, patches, test)


def _fit(net: PatchNet, patches: Patches, labels: np.ndarray, learned: np.ndarray, *, seed: int) -> None:
    rng = np.random.default_rng(derive_seed(seed, 1))
    order = np.concatenate([rng.permutation(learned) for _ in range(1 + _STEPS * _BATCH // max(len(learned), 1))])
    optimizer = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=0.05)

    def loss(step: int) -> torch.Tensor:
        chosen = order[step * _BATCH : (step + 1) * _BATCH]
        pixels, known = patches.pixels[chosen], patches.known[chosen]
        if rng.random() < 0.5:  # left and right mean nothing; up and down do
            pixels, known = pixels[:, :, ::-1], known[:, :, ::-1]
        wanted = torch.from_numpy(labels[chosen]).float()
        return nn.functional.binary_cross_entropy_with_logits(net(_as_input(pixels, known)), wanted)

    player = Player(
        modules={"net": net},
        loss=loss,
        optimizer=optimizer,
        scheduler=OneCycleLR(optimizer, _RATE, total_steps=_STEPS, pct_start=_WARMUP / _STEPS),
    )
    train([player], Budget(steps=_STEPS), seed=seed, device=torch.device("cpu"), batch_size=_BATCH)


def _judge(net: PatchNet, patches: Patches, test: np.ndarray) -> np.ndarray:
    net.eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(test), 256):
            chosen = test[start : start + 256]
            batch = _as_input(patches.pixels[chosen], patches.known[chosen])
            mirrored = _as_input(patches.pixels[chosen][:, :, ::-1], patches.known[chosen][:, :, ::-1])
            found.append(((net(batch) + net(mirrored)) / 2).numpy())
    return np.concatenate(found) if found else np.empty(0)


def _as_input(pixels: np.ndarray, known: np.ndarray) -> torch.Tensor:
    colours = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1
    fine = colours - nn.functional.avg_pool2d(colours, 3, 1, 1, count_include_pad=False)
    # The patch's own colour says which cell it shows, not whether there is a seam.
    colours = colours - colours.mean(dim=(2, 3), keepdim=True)
    seen = torch.from_numpy(np.ascontiguousarray(known))[:, None].float()
    rows = torch.linspace(-1, 1, pixels.shape[1]).reshape(1, 1, -1, 1).expand_as(seen)
    # In this order convolutions on a CPU take two thirds of the time.
    return torch.cat([colours, 8 * fine, seen, rows], dim=1).contiguous(memory_format=torch.channels_last)
