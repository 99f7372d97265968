"""torchvision's detectors behind the interface of types.py."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import safetensors.torch
import torch
from torch import nn

from detection.datasets.types import DetectionDataset, Detections, digest_of_set
from detection.detectors.architectures import ARCHITECTURES, WEIGHTS, Architecture, load_pretrained, read_saved
from detection.detectors.batches import CACHE_BYTES, Batch, BatchSource, PictureStore, resize
from detection.detectors.settings import FitSettings, ModelCard, write_card
from detection.detectors.types import TrainingMix
from detection.evaluation.coco_metrics import mean_average_precision
from generator.foundation.device import autocast
from generator.foundation.errors import ModelError
from generator.foundation.history import History, Listener
from generator.foundation.storage import make_folder, remove_leftovers, write_bytes
from generator.foundation.training import (
    Budget,
    Player,
    cosine_schedule,
    decay_groups,
    deterministic,
    in_smaller_batches,
    out_of_memory_explained,
    to_channels_last,
    train,
)

_PREDICT_BATCH = 16
CHECKPOINT = "checkpoint.pt"
_DRAWS = 4
# How a training is watched and stored, not what comes out of it.
_WITHOUT_EFFECT = {"checkpoint_every", "workers"}


class TorchvisionDetector:
    """A detector of architectures.ARCHITECTURES, or of another one that is called as torchvision's are.

    Its weights are those that `save` wrote to the folder `saved`, else those that the card's options name. Raises
    ModelError for weights or an option that cannot be used.
    """

    def __init__(
        self,
        card: ModelCard,
        device: torch.device,
        saved: Path | None = None,
        architecture: Architecture | None = None,
    ):
        if card.options.input_wh is None:
            raise ValueError("the card must say the size of the input")
        if architecture is None and card.options.variant is not None:
            raise ModelError(f"{card.name} has no variants, so no {card.options.variant!r}")
        self.categories = card.categories
        self._card = card
        self._input_wh = card.options.input_wh
        self._architecture = architecture or ARCHITECTURES[card.name]
        self._device = device
        self.model = to_channels_last(self._architecture.build(len(card.categories), self._input_wh), device)
        if saved is not None:
            self._load(saved)
        elif architecture is None:
            load_pretrained(self.model, card, self._architecture)

    def fit(
        self,
        mix: TrainingMix,
        settings: FitSettings,
        *,
        seed: int,
        validation: DetectionDataset | None = None,
        checkpoint: Path | None = None,
        listener: Listener | None = None,
    ) -> History:
        """Train; see Detector.fit. When it is stopped by an error, the weights are those from before the call."""
        self._check(mix, validation)
        before = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        trained = [each for each in self.model.parameters() if each.requires_grad]
        made_from: dict[str, Any] = {}
        if checkpoint is not None:
            remove_leftovers(make_folder(checkpoint))
            made_from = self._identity(mix, validation, settings, before, seed)
        store = PictureStore(
            self._input_wh,
            with_masks=self._architecture.gives_masks,
            cache_bytes=CACHE_BYTES // max(1, settings.workers),  # each process has a store of its own
        )
        frozen = self._frozen_parts(settings)
        batches: Iterator[Batch] | None = None

        def loss(step: int) -> torch.Tensor:
            nonlocal batches
            batches = batches or BatchSource(mix, settings, store, seed=seed).batches(step)
            for part in frozen:
                part.eval()
            return self._loss(next(batches))

        try:
            for part in frozen:
                part.requires_grad_(False)
            groups = decay_groups(self.model.parameters(), settings.weight_decay)
            optimizer: torch.optim.Optimizer = (
                torch.optim.SGD(groups, settings.learning_rate, momentum=0.9)
                if settings.optimizer == "sgd"
                else torch.optim.AdamW(groups, settings.learning_rate)
            )
            player = Player(
                modules={"model": self.model},
                loss=loss,
                optimizer=optimizer,
                scheduler=cosine_schedule(optimizer, settings.steps, settings.warmup_steps),
                max_gradient_norm=settings.max_gradient_norm,
                start_share=settings.start_share,
            )
            return train(
                [player],
                Budget(steps=settings.steps),
                seed=seed,
                position=(_DRAWS,),  # the detectors of two stages draw the boxes they learn from
                device=self._device,
                batch_size=settings.batch_size,
                score=None if validation is None else self._scorer(validation),
                score_every=settings.validate_every,
                patience=settings.patience,
                checkpoint=checkpoint / CHECKPOINT if checkpoint is not None else None,
                made_from=made_from,
                checkpoint_every=settings.checkpoint_every,
                listener=listener,
            )
        except BaseException:
            self.model.load_state_dict(before)
            raise
        finally:
            for each in trained:
                each.requires_grad_(True)

    def predict(self, pictures: Sequence[np.ndarray], *, with_masks: bool = True) -> list[Detections]:
        """Find objects; see Detector.predict."""
        found = []
        for start in range(0, len(pictures), _PREDICT_BATCH):
            batch = pictures[start : start + _PREDICT_BATCH]
            answers = self._find([resize(each, self._input_wh) for each in batch], with_masks=with_masks)
            for picture, answer in zip(batch, answers, strict=True):
                found.append(self._detections(answer, (picture.shape[1], picture.shape[0])))
        return found

    def save(self, folder: Path) -> None:
        """Write model.json and model.safetensors (float32). Raises StorageError."""
        weights = {name: value.detach().cpu().contiguous() for name, value in self.model.state_dict().items()}
        write_bytes(make_folder(folder) / WEIGHTS, safetensors.torch.save(weights))
        write_card(folder, self._card)

    def _load(self, folder: Path) -> None:
        try:
            self.model.load_state_dict(read_saved(folder))
        except RuntimeError as error:
            raise ModelError(f"{folder / WEIGHTS} cannot be used: {str(error).splitlines()[0]}") from None

    def _check(self, mix: TrainingMix, validation: DetectionDataset | None) -> None:
        for data in (*mix.sets, *([] if validation is None else [validation])):
            if data.categories != self.categories:
                theirs, ours = ", ".join(data.categories), ", ".join(self.categories)
                raise ModelError(f"the detector finds {ours}, but the data set holds {theirs}")
        if validation is not None and not any(validation.counts().values()):
            raise ModelError("the validation pictures hold no object, so that nothing can be scored on them")

    def _identity(
        self,
        mix: TrainingMix,
        validation: DetectionDataset | None,
        settings: FitSettings,
        weights: Mapping[str, torch.Tensor],
        seed: int,
    ) -> dict[str, Any]:
        """What decides the course of a training, as plain data: two with the same give the same weights."""
        return {
            "model": self._card.name,
            "options": self._card.options.model_dump(mode="json"),
            "settings": settings.model_dump(mode="json", exclude=_WITHOUT_EFFECT),
            "seed": seed,
            "pictures": [_digest_of_set(data) for data in mix.sets],
            "shares": list(mix.shares),
            "validation": None if validation is None else _digest_of_set(validation),
            "weights": _digest_of_weights(weights),
            "torch": str(torch.__version__),
            "device": self._device.type,
            "threads": torch.get_num_threads(),
        }

    def _frozen_parts(self, settings: FitSettings) -> list[nn.Module]:
        backbone = self.model.get_submodule("backbone")
        body = getattr(backbone, "body", backbone)
        if settings.freeze_backbone:
            return [body]
        if self._architecture.has_large_trunk and self._card.options.pretrained != "none":
            return [module for module in body.modules() if isinstance(module, nn.BatchNorm2d)]
        return []

    def _scorer(self, validation: DetectionDataset) -> Callable[[], float]:
        store = PictureStore(self._input_wh, with_masks=False)

        def score() -> float:
            found = []
            for start in range(0, len(validation), _PREDICT_BATCH):
                samples = validation.samples[start : start + _PREDICT_BATCH]
                answers = self._find([store.read(sample).image for sample in samples], with_masks=False)
                for sample, answer in zip(samples, answers, strict=True):
                    found.append(self._detections(answer, (sample.width, sample.height)))
            return mean_average_precision(validation, found)

        return score

    def _loss(self, batch: Batch) -> torch.Tensor:
        targets = [{name: value.to(self._device) for name, value in target.items()} for target in batch.targets]
        try:
            with autocast(self._device):
                losses: dict[str, torch.Tensor] = self.model(list(self._as_input(batch.images)), targets)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            advice = "use --batch-size 2 or more, or a larger input"
            raise ModelError(f"one picture of this size is too little for batch normalisation; {advice}") from None
        return torch.stack([each.float() for each in losses.values()]).sum()

    def _as_input(self, images: torch.Tensor) -> torch.Tensor:
        """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 in [0, 1] on the device."""
        return images.to(self._device).permute(0, 3, 1, 2).float() / 255

    def _find(self, images: Sequence[np.ndarray], *, with_masks: bool) -> list[dict[str, torch.Tensor]]:
        """What the model says of images (H, W, 3) of its size, in their pixels; of fewer at once if memory is short."""
        self.model.eval()
        with torch.inference_mode(), deterministic(self._device), out_of_memory_explained(self._device, 1):
            return in_smaller_batches(lambda part: self._answers(part, with_masks=with_masks), images)

    def _answers(self, images: Sequence[np.ndarray], *, with_masks: bool) -> list[dict[str, torch.Tensor]]:
        batch = self._as_input(torch.from_numpy(np.stack(images)))
        answers: list[dict[str, torch.Tensor]] = self.model(list(batch))
        return [
            {name: value.float().cpu() for name, value in answer.items() if with_masks or name != "masks"}
            for answer in answers
        ]

    def _detections(self, answer: dict[str, torch.Tensor], size_wh: tuple[int, int]) -> Detections:
        """Scale an answer to a picture; boxes without an area are left out, and those of the background.

        RetinaNet has a logit for the background, too, that only training keeps down.
        """
        scale = np.array([size_wh[0] / self._input_wh[0], size_wh[1] / self._input_wh[1]] * 2, np.float32)
        limits = np.array([*size_wh, *size_wh], np.float32)
        boxes = np.clip(answer["boxes"].numpy().reshape(-1, 4) * scale, 0, limits)
        scores, labels = answer["scores"].numpy(), answer["labels"].numpy().astype(np.int64)
        whole = np.flatnonzero(np.all(boxes[:, 2:] > boxes[:, :2], axis=1) & (labels > 0))
        order = whole[np.argsort(-scores[whole], kind="stable")]
        return Detections(
            boxes_xyxy=boxes[order],
            labels=labels[order],
            scores=scores[order],
            masks=_masks(answer["masks"].numpy()[order, 0], size_wh) if "masks" in answer else None,
        )


def _masks(shares: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """(N, h, w) float32 -> (N, H, W) bool: what is more likely object than not."""
    masks = np.zeros((len(shares), size_wh[1], size_wh[0]), bool)
    for number, share in enumerate(shares):
        masks[number] = cv2.resize(share, size_wh, interpolation=cv2.INTER_LINEAR) > 0.5
    return masks


def _digest_of_set(data: DetectionDataset) -> str:
    # The name alone: where a data set lies, or how its path was written, decides nothing.
    return digest_of_set(data, (sample.path.name for sample in data.samples))


def _digest_of_weights(weights: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, value in weights.items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
