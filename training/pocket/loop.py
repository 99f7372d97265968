"""How every part is trained: a time budget, cosine learning rate, averaged weights, going on after a stop."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from generator.foundation.history import Listener
from generator.foundation.seeds import derive_rng
from generator.foundation.storage import make_folder, sha256_of, translate_os_errors
from generator.foundation.training import Budget, Player, train
from training.pocket.smears import files_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SECONDS_BETWEEN_LINES = 15.0
WARMUP_SHARE = 0.03

# (random numbers of this step, share of the budget that is spent) -> scalar loss, None while there is nothing to learn
Loss = Callable[[np.random.Generator, float], torch.Tensor | None]


@dataclass(frozen=True, kw_only=True)
class Session:
    """What is learned from (a folder of labelled photos, smears.py, and a file of captions, grammar.py), from which
    seed, with what, for how long, and who is told."""

    data: Path
    captions: Path
    seed: int
    device: torch.device
    minutes: float = 0.0
    say: Callable[[str], None] = print

    def rng(self, *position: int) -> np.random.Generator:
        """Random numbers of a position below the seed."""
        return derive_rng(self.seed, *position)


@dataclass(frozen=True, kw_only=True, eq=False)
class Learner:
    """Modules that one optimizer moves to lower one loss. A VAE has two: itself and its critic."""

    modules: Mapping[str, nn.Module]
    loss: Loss
    learning_rate: float
    weight_decay: float = 0.01
    ema_decay: float = 0.999


def fit(
    part: str,
    learners: Sequence[Learner],
    session: Session,
    folder: Path,
    *,
    batch_size: int,
    made_from: Mapping[str, str],
) -> None:
    """Train until the minutes are spent, and leave the averaged weights in the modules, in evaluation mode.

    Every step draws from a generator of its own. A checkpoint in `folder` is gone on from; see
    generator/foundation/training.py. Raises BoxpaintError when it was made from something else than `made_from`.
    """
    budget = Budget(minutes=session.minutes)
    train(
        [_player(learner, session, budget) for learner in learners],
        budget,
        seed=session.seed,
        device=session.device,
        batch_size=batch_size,
        checkpoint=checkpoint_file(make_folder(folder), part),
        made_from=made_from,
        listener=(lines := _Lines(part, budget, session.say)),
    )
    session.say(f"{part}: {budget.done} steps in {budget.seconds / 60:.1f} min, loss {lines.loss:.4f}")


def _player(learner: Learner, session: Session, budget: Budget) -> Player:
    def loss(step: int) -> torch.Tensor | None:
        return learner.loss(derive_rng(session.seed, step), budget.progress)

    optimizer = torch.optim.AdamW(
        [{"params": list(module.parameters())} for module in learner.modules.values()],
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


class _Lines(Listener):
    """Says now and then how far a training is."""

    def __init__(self, part: str, budget: Budget, say: Callable[[str], None]):
        self.loss = math.nan
        self._part, self._budget, self._say = part, budget, say
        self._said_at = time.monotonic()

    def on_start(self, _: int, finished: int, /) -> None:
        if finished:
            self._say(f"{self._part}: going on after {finished} steps, {self._budget.seconds / 60:.1f} min")

    def on_step(self, step: int, loss: float, /) -> None:
        self.loss = loss if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * loss
        if (now := time.monotonic()) - self._said_at > SECONDS_BETWEEN_LINES and self._budget.minutes is not None:
            self._said_at = now
            left = self._budget.minutes - self._budget.seconds / 60
            progress = f"{self._budget.progress:4.0%}, step {step}"
            self._say(f"{self._part}: {progress}, loss {self.loss:.4f}, {left:.1f} min left")


def checkpoint_file(folder: Path, part: str) -> Path:
    """File from which the training of a part goes on."""
    return folder / f"{part}.checkpoint.pt"


def identify(
    part: str,
    session: Session,
    recipe: DataclassInstance,
    *,
    photos: bool = True,
    captions: bool = False,
    files: Mapping[str, Path] | None = None,
) -> dict[str, str]:
    """Name what a training is made from: part, seed, each field of its recipe, and digests of what it learns from.

    Of the photos those for training and validation count. Raises BoxpaintError when something cannot be read.
    """
    learned = {name: [path] for name, path in (files or {}).items()}
    if captions:
        learned["captions"] = [session.captions]
    if photos:
        learned["data"] = files_of(session.data, ("train", "val"))
    values = {f"recipe.{field.name}": repr(getattr(recipe, field.name)) for field in fields(recipe)}
    digests = {name: _digest(paths) for name, paths in learned.items()}
    return {"part": part, "seed": str(session.seed), **values, **digests}


def _digest(paths: Sequence[Path]) -> str:
    """Digest of files and, of several, of their names; wherever they lie."""
    if len(paths) == 1:
        with translate_os_errors(paths[0]):
            return f"sha256:{sha256_of(paths[0])[:16]}"
    digest = hashlib.sha256()
    for path in paths:
        with translate_os_errors(path):
            digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return f"sha256:{digest.hexdigest()[:16]}"
