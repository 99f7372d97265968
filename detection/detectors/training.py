"""One training of a torchvision detector, step by step; it can stop after any step and go on."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detection.datasets.types import DetectionDataset
from detection.detectors.batches import Batch, BatchSource
from detection.detectors.pictures import PictureStore
from detection.detectors.settings import FitSettings
from detection.detectors.types import FitListener, FitResult, TrainingMix
from detection.optimisation import (
    Checkpoints,
    decayed_groups,
    deterministic,
    finite,
    memory_explained,
    rate_share,
    read_checkpoint,
    save_checkpoint,
)
from generator.foundation.device import autocast
from generator.foundation.errors import ModelError
from generator.foundation.seeds import derive_seed
from generator.foundation.storage import make_folder, remove_leftovers

CHECKPOINT = "checkpoint.pt"
_DRAWS = 4
# How a training is watched and stored, not what comes out of it.
_WITHOUT_EFFECT = {"checkpoint_every", "workers"}


class Training:
    """A model on its way through the steps of some settings.

    `frozen`: parts whose weights and statistics stay; `score`: AP of the model as it is, None without validation.
    """

    def __init__(
        self,
        model: nn.Module,
        mix: TrainingMix,
        settings: FitSettings,
        store: PictureStore,
        *,
        seed: int,
        device: torch.device,
        frozen: list[nn.Module],
        score: Callable[[], float] | None,
    ):
        self._model = model
        self._settings = settings
        self._device = device
        self._seed = seed
        self._frozen = frozen
        self._score = score
        self._source = BatchSource(mix, settings, store, seed=seed)
        for part in frozen:
            part.requires_grad_(False)
        groups = decayed_groups(model.parameters(), settings.weight_decay)
        self._optimiser: torch.optim.Optimizer = (
            torch.optim.SGD(groups, settings.learning_rate, momentum=0.9)
            if settings.optimiser == "sgd"
            else torch.optim.AdamW(groups, settings.learning_rate)
        )
        self._losses: list[float] = []
        self._validations: list[tuple[int, float]] = []
        self._best: dict[str, torch.Tensor] = {}
        self._start = copied(model) if settings.start_share else {}

    def run(self, checkpoint: Path | None, made_from: Mapping[str, Any], listener: FitListener) -> FitResult:
        """Train to the end and leave the weights to keep in the model.

        With `checkpoint`, SIGINT and SIGTERM end it after a step, which is kept there. Raises BoxpaintError, Stopped.
        """
        settings = self._settings
        if checkpoint is not None:
            remove_leftovers(make_folder(checkpoint))
            self._go_on_from(read_checkpoint(checkpoint / CHECKPOINT, made_from, self._device))
        file = checkpoint / CHECKPOINT if checkpoint is not None else None
        save = None if file is None else lambda: save_checkpoint(file, made_from, self._state())
        listener.on_start(settings.steps, len(self._losses))
        devices = [self._device] if self._device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices=devices),
            deterministic(self._device),
            memory_explained(self._device, settings.batch_size),
            Checkpoints(save) as checkpoints,
        ):
            for batch in [] if self._is_over() else self._source.batches(len(self._losses)):
                self._losses.append(self._step(batch))
                step = len(self._losses)
                listener.on_step(step, self._losses[-1])
                if self._score is not None and (step % settings.validate_every == 0 or step == settings.steps):
                    self._validate(step, listener)
                is_over = self._is_over()
                checkpoints.after_step(is_due=step % settings.checkpoint_every == 0 or is_over)
                if is_over:
                    break
        self._model.load_state_dict(self._best or self._to_keep())
        return FitResult(
            steps=len(self._losses),
            best_step=self._best_validation()[0] if self._validations else len(self._losses),
            losses=tuple(self._losses),
            validations=tuple(self._validations),
        )

    def _step(self, batch: Batch) -> float:
        step = len(self._losses)
        settings = self._settings
        rate = settings.learning_rate * rate_share(step, settings.steps, settings.warmup_steps)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        # The detectors of two stages draw the boxes they learn from.
        torch.manual_seed(derive_seed(self._seed, _DRAWS, step))
        self._model.train()
        for part in self._frozen:
            part.eval()
        targets = [{name: value.to(self._device) for name, value in target.items()} for target in batch.targets]
        with autocast(self._device), _single_values_explained():
            losses: dict[str, torch.Tensor] = self._model(list(as_input(batch.images, self._device)), targets)
        loss = torch.stack([each.float() for each in losses.values()]).sum()
        value = finite(loss, settings.learning_rate)
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), settings.max_gradient_norm)
        self._optimiser.step()
        return value

    def _validate(self, step: int, listener: FitListener) -> None:
        assert self._score is not None
        trained, kept = copied(self._model), self._to_keep()
        self._model.load_state_dict(kept)
        try:
            self._validations.append((step, self._score()))
        finally:
            self._model.load_state_dict(trained)
        is_best = self._best_validation()[0] == step
        if is_best:
            self._best = kept
        listener.on_validation(step, self._validations[-1][1], is_best=is_best)

    def _to_keep(self) -> dict[str, torch.Tensor]:
        """The weights as they are now, with their share of those that it began with; counters have no share."""
        weights = copied(self._model)
        for name, start in self._start.items():
            if start.is_floating_point():
                weights[name].lerp_(start, self._settings.start_share)
        return weights

    def _best_validation(self) -> tuple[int, float]:
        return max(self._validations, key=lambda each: each[1])

    def _is_over(self) -> bool:
        if len(self._losses) >= self._settings.steps:
            return True
        if self._settings.patience is None or not self._validations:
            return False
        steps = [step for step, _ in self._validations]
        return len(steps) - 1 - steps.index(self._best_validation()[0]) >= self._settings.patience

    def _state(self) -> dict[str, Any]:
        return {
            "model": self._model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "best": self._best,
            "losses": self._losses,
            "validations": self._validations,
        }

    def _go_on_from(self, state: dict[str, Any] | None) -> None:
        if state is None:
            return
        self._model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._best = state["best"]
        self._losses = list(state["losses"])
        self._validations = [(step, ap) for step, ap in state["validations"]]


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
        "settings": json.dumps(settings.model_dump(mode="json", exclude=_WITHOUT_EFFECT)),
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
