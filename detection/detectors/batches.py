"""Batches of a training: the pictures of a step are a pure function of seed, step and mix, in any process."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from detection.detectors.augment import Augmentation
from detection.detectors.mixing import MixOrder
from detection.detectors.pictures import Picture, PictureStore
from detection.detectors.settings import FitSettings
from detection.detectors.types import TrainingMix
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.seeds import derive_seed

_ORDER, _AUGMENT = 1, 2
# What a process that reads pictures has left when it is asked to end.
_LAST_BATCH_S = 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """`images`: (B, H, W, 3) uint8; `targets`: what torchvision asks for: boxes (N, 4), labels (N,), masks (N, H, W).

    https://docs.pytorch.org/vision/stable/models/faster_rcnn.html
    """

    images: torch.Tensor
    targets: list[dict[str, torch.Tensor]]


class BatchSource(Dataset[Batch | tuple[Fault, ...]]):
    """Batch k is item k, from 0."""

    def __init__(self, mix: TrainingMix, settings: FitSettings, store: PictureStore, *, seed: int):
        self._mix = mix
        self._settings = settings
        self._store = store
        self._seed = seed
        self._order = MixOrder([len(data) for data in mix.sets], mix.shares, seed=derive_seed(seed, _ORDER))
        self._augment = Augmentation(vertical_flip=settings.vertical_flip) if settings.augment == "standard" else None

    def __getitem__(self, step: int) -> Batch | tuple[Fault, ...]:
        """Make the batch of a step; what is wrong with its pictures instead, since errors do not cross processes."""
        try:
            pictures = [
                self._varied(self._store.read(self._mix.sets[chosen].samples[number]), step, position)
                for position, (chosen, number) in enumerate(self._order.batch(step, self._settings.batch_size))
            ]
        except DatasetError as error:
            return error.faults
        return make_batch(pictures)

    def _varied(self, picture: Picture, step: int, position: int) -> Picture:
        if self._augment is None:
            return picture
        return self._augment(picture, derive_seed(self._seed, _AUGMENT, step, position))

    def batches(self, first: int) -> Iterator[Batch]:
        """All batches from step `first` on, made by as many processes as the settings say. Raises DatasetError."""
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=range(first, self._settings.steps),
            num_workers=self._settings.workers,
            worker_init_fn=_start_worker,
            generator=torch.Generator(),  # by default it draws from the one that the model draws from
        )
        for found in loader:
            if not isinstance(found, Batch):
                raise DatasetError(found)
            yield found


def make_batch(pictures: list[Picture]) -> Batch:
    """Stack pictures of one size."""
    targets = []
    for picture in pictures:
        # torchvision's losses become NaN by a box without an area.
        whole = np.all(picture.boxes_xyxy[:, 2:] > picture.boxes_xyxy[:, :2], axis=1)
        target = {
            "boxes": torch.from_numpy(picture.boxes_xyxy[whole]),
            "labels": torch.from_numpy(picture.labels[whole]),
        }
        if picture.masks is not None:
            target["masks"] = torch.from_numpy(picture.masks[whole])
        targets.append(target)
    return Batch(images=torch.from_numpy(np.stack([picture.image for picture in pictures])), targets=targets)


def _start_worker(_: int) -> None:
    # Ctrl-C reaches the whole group, and so may a polite kill: the step in hand needs its batch before that.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_LAST_BATCH_S))
    cv2.setNumThreads(0)  # its pool of threads does not survive a fork
