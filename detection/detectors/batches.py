"""Batches of a training: the pictures of a step are a pure function of seed, step and mix, in any process.

Which picture comes when, its resizing with boxes and masks, and the one standard augmentation.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# albumentations asks PyPI for a newer version when it is imported; this program fetches nothing in silence.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations
import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from detection.datasets.read import read_rgb
from detection.datasets.types import Sample
from detection.detectors.settings import FitSettings
from detection.detectors.types import TrainingMix
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.seeds import derive_rng, derive_seed
from generator.labels.segmentation import decode_segmentation

_ORDER, _AUGMENT = 1, 2
# What a process that reads pictures has left when it is asked to end.
_LAST_BATCH_S = 30
# (which data set of the mix, which of its pictures)
Pick = tuple[int, int]
# Of one store; a training has two, one of them for its validation pictures.
CACHE_BYTES = 1024**3
# An object of which less is left in the picture is no longer labelled.
MIN_VISIBLE = 0.4
MIN_SIDE_PX = 1.0


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


class MixOrder:
    """The order in which pictures of several data sets are drawn.

    After n pictures each set has given its share of n, to within one picture for two sets (the set that is furthest
    behind its share is next); each set goes through its pictures in rounds, every round shuffled anew.
    """

    def __init__(self, sizes: Sequence[int], shares: Sequence[float], *, seed: int):
        self._sizes = tuple(sizes)
        self._shares = np.array(shares, np.float64) / sum(shares)
        self._seed = seed
        self._start_again()

    def batch(self, step: int, batch_size: int) -> list[Pick]:
        """Pictures of a step, from 0; quickest when steps are asked for in their order."""
        first = step * batch_size
        if first < self._drawn:
            self._start_again()
        while self._drawn < first:
            self._next_set()
        return [self._pick() for _ in range(batch_size)]

    def _start_again(self) -> None:
        self._drawn = 0
        self._counts = [0] * len(self._sizes)
        self._rounds: dict[int, tuple[int, np.ndarray]] = {}

    def _next_set(self) -> int:
        self._drawn += 1
        behind = self._shares * self._drawn - self._counts
        chosen = int(np.argmax(behind))
        self._counts[chosen] += 1
        return chosen

    def _pick(self) -> Pick:
        chosen = self._next_set()
        round_number, position = divmod(self._counts[chosen] - 1, self._sizes[chosen])
        known = self._rounds.get(chosen)
        if known is None or known[0] != round_number:
            order = derive_rng(self._seed, chosen, round_number).permutation(self._sizes[chosen])
            known = self._rounds[chosen] = round_number, order
        return chosen, int(known[1][position])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A picture at the size of the model's input, and what is on it.

    `image`: (H, W, 3) uint8 RGB; `boxes_xyxy`: (N, 4) float32 in its pixels; `labels`: (N,) int64, from 1; `masks`:
    (N, H, W) uint8 of 0 and 1, or None where none were asked for.
    """

    image: np.ndarray
    boxes_xyxy: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        masks = 0 if self.masks is None else self.masks.nbytes
        return self.image.nbytes + self.boxes_xyxy.nbytes + self.labels.nbytes + masks


class PictureStore:
    """Reads samples at one size. The first `cache_bytes` of them stay in memory; the rest is read each time."""

    def __init__(self, input_wh: tuple[int, int], *, with_masks: bool, cache_bytes: int = CACHE_BYTES):
        self.input_wh = input_wh
        self.with_masks = with_masks
        self._left = cache_bytes
        # By the sample itself, not its path: the same picture may carry other boxes in another set.
        self._kept: dict[int, tuple[Sample, Picture]] = {}

    def read(self, sample: Sample) -> Picture:
        """Read a sample. Raises DatasetError when its picture or a mask cannot be read."""
        kept = self._kept.get(id(sample))
        if kept is not None:
            return kept[1]
        picture = read_picture(sample, self.input_wh, with_masks=self.with_masks)
        if picture.nbytes <= self._left:
            self._left -= picture.nbytes
            self._kept[id(sample)] = sample, picture
        return picture


def read_picture(sample: Sample, input_wh: tuple[int, int], *, with_masks: bool) -> Picture:
    """Read a sample and resize it to `input_wh`. Raises DatasetError naming the file."""
    image = read_rgb(sample.path, labelled_wh=(sample.width, sample.height))
    scale = np.array([input_wh[0] / sample.width, input_wh[1] / sample.height] * 2, np.float32)
    return Picture(
        image=resize(image, input_wh),
        boxes_xyxy=sample.boxes_xyxy * scale,
        labels=sample.labels,
        masks=_read_masks(sample, input_wh) if with_masks else None,
    )


def resize(image: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """Resize an image (H, W, 3) uint8 to a width and height; by area where that makes it smaller, else linear."""
    if (image.shape[1], image.shape[0]) == size_wh:
        return image
    is_smaller = size_wh[0] * size_wh[1] < image.shape[0] * image.shape[1]
    return cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)


def _read_masks(sample: Sample, input_wh: tuple[int, int]) -> np.ndarray:
    masks = np.zeros((len(sample.labels), input_wh[1], input_wh[0]), np.uint8)
    for number, segmentation in enumerate(sample.segmentations):
        try:
            if segmentation is None:
                raise ValueError("it has none")
            mask = decode_segmentation(segmentation, (sample.height, sample.width))
        except ValueError as error:
            column, expected = f"object {number + 1}", f"a segmenter needs a mask of every object: {error}"
            raise DatasetError([Fault(file=str(sample.path), column=column, expected=expected)]) from None
        masks[number] = resize(mask.astype(np.uint8) * 255, input_wh) > 127
    return masks


class Augmentation:
    """Flips, scale and shift, light, colour and blur; objects that leave the picture are dropped.

    About 1.5 ms for a picture of 320 x 240 with eight boxes on one core (benchmarks/detectors.py).
    """

    def __init__(self, *, vertical_flip: bool):
        flips = [albumentations.HorizontalFlip(p=0.5)] + ([albumentations.VerticalFlip(p=0.5)] if vertical_flip else [])
        self._pipeline = albumentations.Compose(
            [
                *flips,
                albumentations.Affine(
                    scale=(0.7, 1.42),
                    translate_percent={"x": (-0.15, 0.15), "y": (-0.15, 0.15)},
                    keep_ratio=True,
                    border_mode=cv2.BORDER_REPLICATE,
                    p=1,
                ),
                albumentations.ColorJitter(
                    brightness=(0.8, 1.2), contrast=(0.75, 1.25), saturation=(0.6, 1.4), hue=(0, 0), p=1
                ),
                albumentations.MultiplicativeNoise(multiplier=(0.92, 1.08), per_channel=True, p=1),
                albumentations.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.2), p=0.3),
            ],
            bbox_params=albumentations.BboxParams(
                format="pascal_voc",
                label_fields=["positions"],
                min_visibility=MIN_VISIBLE,
                min_width=MIN_SIDE_PX,
                min_height=MIN_SIDE_PX,
                clip=True,
            ),
        )

    def __call__(self, picture: Picture, seed: int) -> Picture:
        """Vary a picture; the same seed gives the same variation, whatever came before."""
        # Not set_random_seed: it gives every transform the same stream, so that all pictures that are flipped one way
        # are flipped the other way, too.
        self._pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))
        targets = {
            "image": picture.image,
            "bboxes": picture.boxes_xyxy,
            "positions": np.arange(len(picture.labels)),
        }
        if picture.masks is not None and len(picture.masks):
            targets["masks"] = picture.masks
        found = self._pipeline(**targets)
        kept = np.asarray(found["positions"], np.int64).reshape(-1)
        return Picture(
            image=found["image"],
            boxes_xyxy=np.asarray(found["bboxes"], np.float32).reshape(-1, 4),
            labels=picture.labels[kept],
            masks=np.asarray(found["masks"])[kept] if "masks" in targets else picture.masks,
        )
