"""The arm `copy_paste`: objects cut out of a few real pictures and pasted on the same pictures.

Dwibedi et al. 2017 (Cut, Paste and Learn, arXiv 1708.01642) and Ghiasi et al. 2021 (arXiv 2012.07177): the baseline
that a sceptic names first, since it makes new pictures out of nothing but the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from detection.datasets.read import read_rgb
from detection.datasets.types import DetectionDataset, Sample
from detection.experiment.config import CopyPasteConfig
from generator.foundation.seeds import derive_rng
from generator.foundation.storage import atomic_writer
from generator.labels.segmentation import decode_segmentation

# GrabCut (Rother et al. 2004, https://doi.org/10.1145/1015706.1015720) sees this much around a box, of its longer side.
_CONTEXT = 0.25
_GRABCUT_ROUNDS = 3
# A cut that keeps less or more of the box than this has failed; the ellipse in the box takes its place.
_MASK_SHARE = (0.15, 0.97)
_FEATHER = 0.04
_POSITIONS = 30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CutOut:
    """An object out of its picture: `pixels` (H, W, 3) uint8 RGB and `alpha` (H, W) float32 in [0, 1], of its box."""

    label: int
    pixels: np.ndarray
    alpha: np.ndarray


def paste_pictures(real: DetectionDataset, settings: CopyPasteConfig, folder: Path, *, seed: int) -> DetectionDataset:
    """Make pictures by pasting objects of `real` on its pictures; writes PNG files into `folder`.

    The label of a pasted object is its box, moved and scaled with it, so that it keeps the convention of whoever drew
    it. Categories are drawn evenly. A place is drawn until the object covers at most `max_overlap` of any other's box
    and lies inside the picture; an object that finds none is left out. The same seed gives the same bytes.
    """
    # Whole pictures are read when they are needed: thousands of photos would fill the memory of any machine.
    of_label: dict[int, list[CutOut]] = {}
    for sample in real.samples:
        for item in cut_out(sample, _read(sample)):
            of_label.setdefault(item.label, []).append(item)
    samples = []
    for number in range(settings.num_images):
        rng = derive_rng(seed, number)
        base = real.samples[int(rng.integers(len(real)))]
        picture, boxes, labels = _paste_on(base, _read(base).copy(), of_label, settings, rng)
        path = folder / f"{number:04}.png"
        with atomic_writer(path) as stream:
            stream.write(cv2.imencode(".png", picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())
        size_wh = base.width, base.height
        samples.append(Sample.of(path, size_wh, boxes, labels, not_exhaustive=base.not_exhaustive))
    return DetectionDataset(categories=real.categories, samples=tuple(samples))


def cut_out(sample: Sample, picture: np.ndarray) -> list[CutOut]:
    """Cut the objects out of a picture (H, W, 3) uint8 RGB: by their masks, else by GrabCut or an ellipse in the box.

    An object at the edge of the picture is left there, unless all of its picture are.
    """
    boxes = np.rint(sample.boxes_xyxy).astype(int)
    size = np.array([sample.width, sample.height])
    inside = np.all(boxes[:, :2] > 0, axis=1) & np.all(boxes[:, 2:] < size, axis=1)
    found = []
    for number in np.flatnonzero(inside if inside.any() else np.ones(len(boxes), bool)):
        x_min, y_min, x_max, y_max = (int(value) for value in boxes[number])
        if x_max - x_min < 2 or y_max - y_min < 2:
            continue
        mask = _labelled_mask(sample, int(number), (x_min, y_min, x_max, y_max))
        if mask is None:
            mask = _find_mask(picture, (x_min, y_min, x_max, y_max))
        sigma = max(0.7, _FEATHER * max(mask.shape))
        alpha = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
        found.append(
            CutOut(label=int(sample.labels[number]), pixels=picture[y_min:y_max, x_min:x_max].copy(), alpha=alpha)
        )
    return found


def _read(sample: Sample) -> np.ndarray:
    return read_rgb(sample.path, labelled_wh=(sample.width, sample.height))


def _labelled_mask(sample: Sample, number: int, box_xyxy: tuple[int, int, int, int]) -> np.ndarray | None:
    """The mask that an object comes with, (H, W) bool of the box; None where it has none that can be used."""
    segmentation, size_hw = sample.segmentations[number], (sample.height, sample.width)
    if not segmentation:
        return None
    try:
        mask = decode_segmentation(segmentation, size_hw)
    except ValueError:
        return None
    x_min, y_min, x_max, y_max = box_xyxy
    inside = mask[y_min:y_max, x_min:x_max]
    return inside if mask.shape == size_hw and inside.any() else None


def _find_mask(picture: np.ndarray, box_xyxy: tuple[int, int, int, int]) -> np.ndarray:
    """The object in a box, (H, W) bool of the box."""
    x_min, y_min, x_max, y_max = box_xyxy
    height, width = y_max - y_min, x_max - x_min
    rows, columns = np.mgrid[:height, :width]
    ellipse = ((2 * rows + 1) / height - 1) ** 2 + ((2 * columns + 1) / width - 1) ** 2 <= 1
    border = max(4, round(_CONTEXT * max(width, height)))
    left, top = max(0, x_min - border), max(0, y_min - border)
    crop = np.ascontiguousarray(picture[top : y_max + border, left : x_max + border, ::-1])
    marks = np.full(crop.shape[:2], cv2.GC_BGD, np.uint8)
    place = np.s_[y_min - top : y_max - top, x_min - left : x_max - left]
    marks[place] = np.where(ellipse, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # GrabCut draws; equal pictures are to give equal masks
    try:
        cv2.grabCut(crop, marks, (0, 0, 1, 1), *models, _GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # too few colours to tell two sides apart
        return ellipse
    mask = np.isin(marks[place], (cv2.GC_FGD, cv2.GC_PR_FGD))
    low, high = _MASK_SHARE
    return mask if low <= mask.mean() <= high else ellipse


def _paste_on(
    base: Sample,
    picture: np.ndarray,
    of_label: dict[int, list[CutOut]],
    settings: CopyPasteConfig,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paste some objects on a copy of a picture; returns it with all its boxes and labels."""
    boxes, labels, known = list(base.boxes_xyxy), list(base.labels), sorted(of_label)
    wanted = int(rng.integers(settings.objects[0], settings.objects[1] + 1)) if known else 0
    for _ in range(wanted):
        cuts = of_label[known[int(rng.integers(len(known)))]]
        item = cuts[int(rng.integers(len(cuts)))]
        scale = float(np.exp(rng.uniform(*np.log(settings.scale))))
        flip = bool(rng.random() < 0.5)
        height, width = (max(2, round(side * scale)) for side in item.alpha.shape)
        if width > base.width or height > base.height:
            continue
        box = _find_place((width, height), np.array(boxes).reshape(-1, 4), base, settings.max_overlap, rng)
        if box is None:
            continue
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        pixels, alpha = (cv2.resize(each, (width, height), interpolation=how) for each in (item.pixels, item.alpha))
        if flip:
            pixels, alpha = pixels[:, ::-1], alpha[:, ::-1]
        place = np.s_[box[1] : box[3], box[0] : box[2]]
        blended = alpha[..., None] * pixels + (1 - alpha[..., None]) * picture[place]
        picture[place] = np.rint(blended).astype(np.uint8)
        boxes.append(box.astype(np.float32))
        labels.append(item.label)
    return picture, np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64)


def _find_place(
    size_wh: tuple[int, int], others: np.ndarray, base: Sample, max_overlap: float, rng: np.random.Generator
) -> np.ndarray | None:
    """A box (x_min, y_min, x_max, y_max) inside the picture that covers little of `others`, (N, 4)."""
    for _ in range(_POSITIONS):
        x_min = int(rng.integers(base.width - size_wh[0] + 1))
        y_min = int(rng.integers(base.height - size_wh[1] + 1))
        box = np.array([x_min, y_min, x_min + size_wh[0], y_min + size_wh[1]])
        shared = np.minimum(others[:, 2:], box[2:]) - np.maximum(others[:, :2], box[:2])
        covered = np.prod(np.clip(shared, 0, None), axis=1) / np.prod(others[:, 2:] - others[:, :2], axis=1)
        if not np.any(covered > max_overlap):
            return box
    return None
