"""One training loop for every part: a time budget, cosine learning rate, averaged weights, going on after a stop."""

from __future__ import annotations

import copy
import math
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from detection.optimisation import Checkpoints
from generator.foundation.errors import BoxpaintError
from generator.foundation.seeds import derive_rng, derive_seed
from generator.foundation.storage import atomic_writer, make_folder, translate_os_errors
from training.pocket.identity import differences

SECONDS_BETWEEN_LINES = 15.0
WARMUP_SHARE = 0.03
# What torch.load raises depends on where a file is torn.
_NO_CHECKPOINT = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError, AttributeError)

# (random numbers of this step, share of the budget that is spent) -> scalar loss
Loss = Callable[[np.random.Generator, float], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How long to train, with what, from which seed. The defaults of each part are those of its recipe."""

    minutes: float
    seed: int
    device: torch.device


@dataclass(frozen=True, kw_only=True, eq=False)
class Player:
    """Modules that one optimiser moves to lower one loss. A VAE has two: itself and its critic."""

    modules: Mapping[str, nn.Module]
    loss: Loss
    learning_rate: float
    weight_decay: float = 0.01
    ema_decay: float = 0.999
    optimiser: torch.optim.AdamW = field(init=False)
    averaged: dict[str, nn.Module] = field(init=False)

    def __post_init__(self) -> None:
        groups = [{"params": list(module.parameters())} for module in self.modules.values()]
        optimiser = torch.optim.AdamW(groups, lr=self.learning_rate, weight_decay=self.weight_decay, betas=(0.9, 0.98))
        object.__setattr__(self, "optimiser", optimiser)
        averaged = {name: copy.deepcopy(module).requires_grad_(False) for name, module in self.modules.items()}
        object.__setattr__(self, "averaged", averaged)

    def state(self) -> dict[str, Any]:
        """Everything to go on from."""
        return {
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "averaged": {name: module.state_dict() for name, module in self.averaged.items()},
            "optimiser": self.optimiser.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
            self.averaged[name].load_state_dict(state["averaged"][name])
        self.optimiser.load_state_dict(state["optimiser"])


def fit(
    part: str,
    players: Sequence[Player],
    budget: Budget,
    folder: Path,
    *,
    made_from: Mapping[str, str],
    say: Callable[[str], None],
) -> dict[str, nn.Module]:
    """Train until the budget is spent; returns the averaged modules of the first player, in evaluation mode.

    A checkpoint in `folder` is gone on from: its seconds count as spent. Every step draws from a generator of its own,
    so that a stop does not shift the random numbers. Raises BoxpaintError when the checkpoint was made from something
    else than `made_from` (identity.py).
    """
    path = checkpoint_file(make_folder(folder), part)
    spent, step, loss_mean = 0.0, 0, math.nan
    state = read_checkpoint(path, made_from, budget.device)
    if state is not None:
        for player, saved in zip(players, state["players"], strict=True):
            player.load(saved)
        spent, step, loss_mean = state["seconds"], state["steps"], state["loss"]
        say(f"{part}: going on after {step} steps, {spent / 60:.1f} min")
    total = 60 * budget.minutes
    start = said_at = time.monotonic()
    before = spent

    def save() -> None:
        _save(path, players, made_from, spent, step, loss_mean)

    with Checkpoints(save) as checkpoints:
        while spent < total:
            progress = spent / total
            torch.manual_seed(derive_seed(budget.seed, step))
            for number, player in enumerate(players):
                loss = _step(player, derive_rng(budget.seed, step), progress, step)
                if number == 0:
                    loss_mean = loss if math.isnan(loss_mean) else 0.98 * loss_mean + 0.02 * loss
            step += 1
            now = time.monotonic()
            spent = before + now - start
            if now - said_at > SECONDS_BETWEEN_LINES:
                said_at = now
                say(f"{part}: {progress:4.0%}, step {step}, loss {loss_mean:.4f}, {(total - spent) / 60:.1f} min left")
            checkpoints.after_step(is_due=spent >= total)
    say(f"{part}: {step} steps in {spent / 60:.1f} min, loss {loss_mean:.4f}")
    return {name: module.eval() for name, module in players[0].averaged.items()}


def _step(player: Player, rng: np.random.Generator, progress: float, step: int) -> float:
    warmup = min(1.0, (progress + 1e-9) / WARMUP_SHARE)
    for group in player.optimiser.param_groups:
        group["lr"] = player.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    for module in player.modules.values():
        module.train()
    loss = player.loss(rng, progress)
    player.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [parameter for module in player.modules.values() for parameter in module.parameters()]
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    player.optimiser.step()
    # Young averages follow quickly: Karras et al. 2022, arXiv 2206.00364, appendix F.1.
    decay = min(player.ema_decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, module in player.modules.items():
            for mean, value in zip(player.averaged[name].parameters(), module.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)
            for kept, current in zip(player.averaged[name].buffers(), module.buffers(), strict=True):
                kept.copy_(current)
    return float(loss.detach())


def checkpoint_file(folder: Path, part: str) -> Path:
    """File from which the training of a part goes on."""
    return folder / f"{part}.checkpoint.pt"


def read_checkpoint(path: Path, made_from: Mapping[str, str], device: torch.device) -> dict[str, Any] | None:
    """Read where a training was stopped; None when it has not begun.

    Raises BoxpaintError when it was made from something else, or cannot be read.
    """
    if not path.exists():
        return None
    advice = "remove it, or choose another --out"
    try:
        with translate_os_errors(path):
            state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
            before = dict(state.get("made_from", {}))
    except _NO_CHECKPOINT as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BoxpaintError(f"{path} cannot be read ({reason}); {advice}") from None
    differing = differences(before, made_from)
    if differing:
        raise BoxpaintError(f"{path} is of another training; {advice}. {differing}")
    return state


def _save(
    path: Path, players: Sequence[Player], made_from: Mapping[str, str], seconds: float, steps: int, loss: float
) -> None:
    state = {
        "made_from": dict(made_from),
        "players": [player.state() for player in players],
        "seconds": seconds,
        "steps": steps,
        "loss": loss,
    }
    with atomic_writer(path) as stream:
        torch.save(state, stream)
