"""How each part of a painter learns: cosine learning rate, averaged weights, random numbers of each step's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from generator.foundation.history import History, Listener
from generator.foundation.seeds import derive_rng
from generator.foundation.training import Budget, Player, train

WARMUP_SHARE = 0.03

# (random numbers of this step, share of the budget that is spent) -> scalar loss, None while there is nothing to learn
Loss = Callable[[np.random.Generator, float], torch.Tensor | None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Learner:
    """Modules that one optimizer moves to lower one loss. A VAE may have two: itself and its critic."""

    modules: Mapping[str, nn.Module]
    loss: Loss
    learning_rate: float
    weight_decay: float = 0.01
    ema_decay: float = 0.999


def fit(
    learners: Sequence[Learner],
    budget: Budget,
    *,
    seed: int,
    device: torch.device,
    batch_size: int,
    checkpoint: Path | None = None,
    made_from: Mapping[str, Any] | None = None,
    score: Callable[[], float] | None = None,
    score_every: int = 1,
    patience: int | None = None,
    notes: dict[str, Any] | None = None,
    listener: Listener | None = None,
) -> History:
    """Train until the budget is spent, and leave the averaged weights in the modules, in evaluation mode.

    For what is left see generator/foundation/training.py. Raises what `train` raises there.
    """
    return train(
        [_player(learner, seed, budget) for learner in learners],
        budget,
        seed=seed,
        device=device,
        batch_size=batch_size,
        checkpoint=checkpoint,
        made_from=made_from,
        score=score,
        score_every=score_every,
        patience=patience,
        notes=notes,
        listener=listener,
    )


def _player(learner: Learner, seed: int, budget: Budget) -> Player:
    def loss(step: int) -> torch.Tensor | None:
        return learner.loss(derive_rng(seed, step), budget.progress)

    optimizer = torch.optim.AdamW(
        [
            {"params": [each for each in module.parameters() if each.requires_grad]}
            for module in learner.modules.values()
        ],
        lr=learner.learning_rate,
        weight_decay=learner.weight_decay,
        betas=(0.9, 0.98),
    )
    return Player(
        modules=learner.modules,
        loss=loss,
        optimizer=optimizer,
        scheduler=LambdaLR(optimizer, lambda _: rate_at(budget.progress)),
        max_gradient_norm=1.0,
        ema_decay=learner.ema_decay,
    )


def rate_at(progress: float) -> float:
    """Share of the highest learning rate where a share of the budget is spent.

    >>> [round(rate_at(progress), 2) for progress in (0, 0.015, 0.03, 0.5, 1)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    return min(1.0, (progress + 1e-9) / WARMUP_SHARE) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
