"""The training of one classifier, a step at a time: AdamW, warm-up and cosine, resumable to the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detection.classifier.batches import Batches, fixed_views
from detection.classifier.crops import Crops
from detection.classifier.models import Classifier
from detection.classifier.scores import score_predictions
from detection.classifier.settings import ClassifierSettings
from generator.foundation.device import autocast
from generator.foundation.history import History, Listener
from generator.foundation.training import (
    Budget,
    Player,
    cosine_schedule,
    decay_groups,
    to_channels_last,
)
from generator.foundation.training import train as train_players

MAX_GRADIENT_NORM = 5.0
# Keeps a few crops, seen hundreds of times, from being learnt with ever growing weights (Szegedy et al. 2016).
LABEL_SMOOTHING = 0.05
# Position below a training's seed; 0 and 1 are those of batches.py.
_NOISE = 2


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

    With `settings.patience` those are the best by macro F1 on `validation`, else the last; see
    generator/foundation/training.py, also for what is raised.
    """
    to_channels_last(model, device)
    highest = settings.learning_rate or model.spec.learning_rate
    optimizer = torch.optim.AdamW(decay_groups(model.parameters(), settings.weight_decay), lr=highest)

    def loss(step: int) -> torch.Tensor:
        pixels, labels = batches.batch(step)
        with autocast(device):
            logits = model(to_tensor(pixels, device))
        wanted = torch.from_numpy(labels).to(device)
        return torch.nn.functional.cross_entropy(logits.float(), wanted, label_smoothing=LABEL_SMOOTHING)

    def score(crops: Crops) -> float:
        probabilities = predict(model, crops, settings.margin)
        return float(score_predictions(crops.labels, probabilities, len(model.classes)).macro_f1)

    player = Player(
        modules={"model": model},
        loss=loss,
        optimizer=optimizer,
        scheduler=cosine_schedule(optimizer, settings.steps, settings.warmup_steps),
        max_gradient_norm=MAX_GRADIENT_NORM,
    )
    return train_players(
        [player],
        Budget(steps=settings.steps),
        seed=batches.seed,
        position=(_NOISE,),
        device=device,
        batch_size=settings.batch_size,
        score=None if validation is None else lambda: score(validation),
        score_every=settings.validate_every,
        patience=settings.patience,
        keep_best=settings.patience is not None,
        checkpoint=checkpoint,
        made_from=made_from,
        checkpoint_every=settings.checkpoint_every,
        listener=_Steps(on_step),
    )


class _Steps(Listener):
    def __init__(self, on_step: Callable[[int, float], None]):
        self._on_step = on_step

    def on_step(self, step: int, loss: float, /) -> None:
        self._on_step(step, loss)


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
