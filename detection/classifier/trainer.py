"""The training of one classifier, a step at a time: AdamW, warm-up and cosine, resumable to the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detection.classifier.batches import Batches, fixed_views
from detection.classifier.crops import Crops
from detection.classifier.models import Classifier
from detection.classifier.scores import score_predictions
from detection.classifier.settings import ClassifierSettings
from detection.optimisation import (
    Checkpoints,
    decayed_groups,
    deterministic,
    finite,
    memory_explained,
    placed,
    rate_share,
    read_checkpoint,
    save_checkpoint,
)
from generator.foundation.device import autocast
from generator.foundation.seeds import derive_seed

MAX_GRADIENT_NORM = 5.0
# Keeps a few crops, seen hundreds of times, from being learnt with ever growing weights (Szegedy et al. 2016).
LABEL_SMOOTHING = 0.05
# Position below a training's seed; 0 and 1 are those of batches.py.
_NOISE = 2


@dataclass(slots=True, kw_only=True)
class History:
    """How a training went: the loss of every step, and (step, macro F1) of every validation."""

    losses: list[float] = field(default_factory=list)
    validations: list[tuple[int, float]] = field(default_factory=list)

    @property
    def best(self) -> tuple[int, float]:
        """First step with the best validation; (0, -1.0) before the first."""
        return max(self.validations, key=lambda each: (each[1], -each[0]), default=(0, -1.0))

    def is_over(self, settings: ClassifierSettings) -> bool:
        """Say whether all steps are trained, or it has not become better for `patience` validations."""
        waited = sum(step > self.best[0] for step, _ in self.validations)
        return len(self.losses) >= settings.steps or (settings.patience is not None and waited >= settings.patience)


def train(
    model: Classifier,
    batches: Batches,
    settings: ClassifierSettings,
    *,
    device: torch.device,
    validation: Crops | None = None,
    checkpoint: Path | None = None,
    made_from: Mapping[str, Any],
    on_step: Callable[[int, float], None] = lambda _step, _loss: None,
) -> History:
    """Train a classifier, from the beginning or from its checkpoint; leaves the weights to keep in `model`.

    With `settings.patience` those are the best on `validation`, else the last. `made_from` is what decides the course:
    a checkpoint of another training is refused. With `checkpoint`, SIGINT and SIGTERM end it after a step, which is
    kept there. Raises Stopped then, and ModelError when the loss is no number or memory runs out.
    """
    placed(model, device)
    highest = settings.learning_rate or model.spec.learning_rate
    optimiser = torch.optim.AdamW(decayed_groups(model.parameters(), settings.weight_decay), lr=highest)
    history, best = History(), dict[str, torch.Tensor]()
    state = read_checkpoint(checkpoint, made_from, device) if checkpoint is not None else None
    if state is not None:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        history = History(losses=state["losses"], validations=[(step, score) for step, score in state["validations"]])
        best = state["best"]

    def save() -> None:
        assert checkpoint is not None
        whole = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "best": best}
        save_checkpoint(checkpoint, made_from, {**whole, "losses": history.losses, "validations": history.validations})

    with (
        deterministic(device),
        memory_explained(device, settings.batch_size),
        Checkpoints(save if checkpoint is not None else None) as checkpoints,
    ):
        while not history.is_over(settings):
            step = len(history.losses)
            for group in optimiser.param_groups:
                group["lr"] = highest * rate_share(step, settings.steps, settings.warmup_steps)
            torch.manual_seed(derive_seed(batches.seed, _NOISE, step))
            history.losses.append(_train_step(model, optimiser, batches.batch(step), device, highest))
            step += 1
            if validation is not None and (step % settings.validate_every == 0 or step == settings.steps):
                probabilities = predict(model, validation, settings.margin)
                scores = score_predictions(validation.labels, probabilities, len(model.classes))
                history.validations.append((step, float(scores.macro_f1)))
                if settings.patience is not None and history.best[0] == step:
                    best = {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}
            on_step(step, history.losses[-1])
            checkpoints.after_step(is_due=step % settings.checkpoint_every == 0 or history.is_over(settings))
    if best:
        model.load_state_dict(best)
    model.eval()
    return history


def _train_step(
    model: Classifier,
    optimiser: torch.optim.Optimizer,
    batch: tuple[np.ndarray, np.ndarray],
    device: torch.device,
    learning_rate: float,
) -> float:
    model.train()
    pixels, labels = batch
    with autocast(device):
        logits = model(to_tensor(pixels, device))
    loss = torch.nn.functional.cross_entropy(
        logits.float(), torch.from_numpy(labels).to(device), label_smoothing=LABEL_SMOOTHING
    )
    value = finite(loss, learning_rate)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
    optimiser.step()
    return value


@torch.no_grad()
def predict(model: Classifier, crops: Crops, margin: float, *, batch_size: int = 128) -> np.ndarray:
    """Probabilities (N, K) float32 of the crops as they are scored, computed in float32."""
    model.eval()
    device = next(model.parameters()).device
    found = []
    for start in range(0, len(crops), batch_size):
        views = fixed_views([*crops.items[start : start + batch_size]], margin=margin, side_px=model.spec.crop_px)
        found.append(model(to_tensor(views, device)).softmax(1).cpu().numpy())
    return np.concatenate(found) if found else np.zeros((0, len(model.classes)), np.float32)


def to_tensor(pixels: np.ndarray, device: torch.device) -> torch.Tensor:
    """(N, S, S, 3) uint8 -> (N, 3, S, S) float in [0, 1], channels last in memory."""
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float().div_(255)
