"""One training of a torchvision detector: what the loop of generator/foundation/training.py asks for."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detection.datasets.types import DetectionDataset
from detection.detectors.batches import Batch, BatchSource
from detection.detectors.pictures import PictureStore
from detection.detectors.settings import FitSettings
from detection.detectors.types import FitListener, FitResult, TrainingMix
from generator.foundation.device import autocast
from generator.foundation.errors import ModelError
from generator.foundation.storage import make_folder, remove_leftovers
from generator.foundation.training import Budget, Player, cosine_schedule, decay_groups, train

CHECKPOINT = "checkpoint.pt"
_DRAWS = 4
# How a training is watched and stored, not what comes out of it.
_WITHOUT_EFFECT = {"checkpoint_every", "workers"}


def train_detector(
    model: nn.Module,
    mix: TrainingMix,
    settings: FitSettings,
    store: PictureStore,
    *,
    seed: int,
    device: torch.device,
    frozen: Sequence[nn.Module],
    score: Callable[[], float] | None,
    checkpoint: Path | None,
    made_from: Mapping[str, Any],
    listener: FitListener,
) -> FitResult:
    """Train a model to the end of its settings and leave the weights to keep in it.

    `frozen`: parts whose weights and statistics stay; `score`: AP of the model as it is, None without validation;
    `checkpoint`: a folder. Raises BoxpaintError, Stopped.
    """
    for part in frozen:
        part.requires_grad_(False)
    groups = decay_groups(model.parameters(), settings.weight_decay)
    optimizer: torch.optim.Optimizer = (
        torch.optim.SGD(groups, settings.learning_rate, momentum=0.9)
        if settings.optimiser == "sgd"
        else torch.optim.AdamW(groups, settings.learning_rate)
    )
    source = BatchSource(mix, settings, store, seed=seed)
    ahead: Iterator[Batch] | None = None

    def loss(step: int) -> torch.Tensor:
        nonlocal ahead
        ahead = ahead or source.batches(step)
        for part in frozen:
            part.eval()
        return _loss(model, next(ahead), device)

    player = Player(
        modules={"model": model},
        loss=loss,
        optimizer=optimizer,
        scheduler=cosine_schedule(optimizer, settings.steps, settings.warmup_steps),
        max_gradient_norm=settings.max_gradient_norm,
        start_share=settings.start_share,
    )
    if checkpoint is not None:
        remove_leftovers(make_folder(checkpoint))
    history = train(
        [player],
        Budget(steps=settings.steps),
        seed=seed,
        position=(_DRAWS,),  # the detectors of two stages draw the boxes they learn from
        device=device,
        batch_size=settings.batch_size,
        score=score,
        score_every=settings.validate_every,
        patience=settings.patience,
        checkpoint=checkpoint / CHECKPOINT if checkpoint is not None else None,
        made_from=made_from,
        checkpoint_every=settings.checkpoint_every,
        listener=listener,
    )
    return FitResult(
        steps=len(history.losses),
        best_step=history.best_step,
        losses=tuple(history.losses),
        validations=tuple(history.validations),
    )


def _loss(model: nn.Module, batch: Batch, device: torch.device) -> torch.Tensor:
    targets = [{name: value.to(device) for name, value in target.items()} for target in batch.targets]
    with autocast(device), _single_values_explained():
        losses: dict[str, torch.Tensor] = model(list(as_input(batch.images, device)), targets)
    return torch.stack([each.float() for each in losses.values()]).sum()


@contextlib.contextmanager
def _single_values_explained() -> Iterator[None]:
    """Turn what batch normalisation says of one value into a ModelError that says what to change."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        advice = "use --batch-size 2 or more, or a larger input"
        raise ModelError(f"one picture of this size is too little for batch normalisation; {advice}") from None


def as_input(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in [0, 1] on the device."""
    return images.to(device).permute(0, 3, 1, 2).float() / 255


def copied(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copy a model's weights."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def identity(
    mix: TrainingMix,
    validation: DetectionDataset | None,
    settings: FitSettings,
    weights: Mapping[str, torch.Tensor],
    *,
    seed: int,
    device: torch.device,
) -> dict[str, Any]:
    """What decides the course of a training, as plain data: two with the same give the same weights."""
    return {
        "settings": settings.model_dump(mode="json", exclude=_WITHOUT_EFFECT),
        "seed": seed,
        "pictures": [_digest_of_set(data) for data in mix.sets],
        "shares": list(mix.shares),
        "validation": None if validation is None else _digest_of_set(validation),
        "weights": _digest_of_weights(weights),
        "torch": str(torch.__version__),
        "device": device.type,
        "threads": torch.get_num_threads(),
    }


def _digest_of_set(data: DetectionDataset) -> str:
    digest = hashlib.sha256(json.dumps(data.categories).encode())
    for sample in data.samples:
        # The name alone: where a data set lies, or how its path was written, decides nothing.
        digest.update(json.dumps([sample.path.name, sample.segmentations], default=str).encode())
        digest.update(sample.boxes_xyxy.tobytes() + sample.labels.tobytes())
    return digest.hexdigest()


def _digest_of_weights(weights: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, value in weights.items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
