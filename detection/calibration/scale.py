"""The scale between painted labels and people's boxes, from a few real boxes of each category.

A network learns from painted labels: shown a window around an object, it says where painting would put its box. Asked
about real objects it tells how much larger people draw. Tried before it: GrabCut on both sides. On five photos of blood
it gave 1.20 for white cells and 1.17 for platelets where a detector's own boxes on 87 others showed 1.10 and 1.37; the
network gives 1.08 to 1.13 and 1.23 to 1.29 from three sets of five, 1.12 and 1.24 from all 205 (with 400 steps of 48
windows). A detector trained on painted pictures alone went from an AP of .58 to .69 on white cells. What is left for
platelets is not the convention: the painted ones were smaller than the real ones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import nn
from torchvision.ops import box_iou

from detection.datasets.boxes import (
    BoxMode,
    BoxScale,
    OnProgress,
    is_whole,
    painted_only,
    requested_boxes,
    rescale,
    tight_boxes,
)
from detection.datasets.read import read_rgb
from detection.datasets.sources import Source
from detection.datasets.types import DetectionDataset
from generator.dataset.pictures import draw_boxes, spread, tile
from generator.foundation.errors import BoxpaintError
from generator.foundation.geometry import Box
from generator.foundation.history import Listener
from generator.foundation.seeds import derive_rng, derive_seed
from generator.foundation.storage import atomic_writer
from generator.foundation.training import Budget, Player, cosine_schedule, decay_groups, one_thread, train

MAX_OBJECTS = 300
"""Taken of each category and set, evenly spread; more moves a median by less than a pixel."""
_PRIOR_BOXES, _PRIOR_SCALE = 1.0, 1.1
"""Few real boxes say little: as if so many more had shown that people leave a little room. On blood smears, where 536
boxes give 1.12 and 1.28, the medians of three are off by 4.8 and 8.3 % so, and by 5.6 and 9.7 % with a prior of 1."""
MIN_AGREEMENT, MAX_SPREAD = 0.86, 0.2
"""The network knows only what looks like the objects it learned from. Least agreement of its windows on one object
(IoU), and greatest spread of the ratios of objects (robust standard deviation of the logarithm), medians; below and
above it does not know what it sees. Learned from 31 painted white cells and platelets, with two seeds: real white
cells of the same stain agree by .91 and .92, with spreads of .07 and .06, platelets by .89 and .91, with .14 and .15;
white cells of another stain by .80 and .83, with .26 and .21, and ratios of 1.7 and 1.6 where by hand it is 1.16; its
red cells, which were never painted, by .28."""
_SPREAD_FROM = 5
"""Fewer boxes have no spread."""

STEPS, BATCH = 300, 32
_LEARNING_RATE, _WEIGHT_DECAY, _WARMUP = 2e-3, 0.02, 30
# Windows laid on an object that is measured: as multiples of the longer side of its own box, and shifted, as shares of
# their own sides. Of what they say the mean is taken.
_MEASURED_SCALES = (1.3, 1.5, 1.8, 2.1)
_MEASURED_SHIFTS = ((0.0, 0.0), (0.1, 0.0), (-0.1, 0.0), (0.0, 0.1), (0.0, -0.1))
# The loss turns from square to linear at this share of a window.
_LINEAR_FROM = 0.1
WINDOW_PX = 48
# Side of a window over the longer side of the box in it, and how far the box may lie off its middle.
SCALE_RANGE, MAX_SHIFT_SHARE = (1.1, 4.0), 0.12
# All that a window may show, at a size at which small and large objects cost the same.
_PATCH_SCALE, _PATCH_PX = SCALE_RANGE[1] * (1 + 2 * MAX_SHIFT_SHARE), 224
_NO_SHIFT = (0.0, 0.0)
OVERLAY = "calibration.jpg"
# Okabe and Ito 2008: told apart by colour-blind eyes as well.
_COLOURS = {"real": "#56B4E9", "tight": "#E69F00", "label": "#009E73"}
_LEGEND = "blue: people's box; orange: tight box (above estimated, below painted); green: tight box, scaled = label"
_COLUMNS, _CELL_PX, _LINE_PX, _QUALITY = 6, 200, 16, 90
# Side of what is shown over the longer side of the box.
_SHOWN = 2.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """The scale of one category, and what it was read from: patches of real objects with what was measured on them,
    None where there was nothing to learn from or to measure, and patches of painted ones with their tight boxes."""

    scale: BoxScale
    real: list[Patch]
    painted: list[Patch]
    measured: Measured | None


def measure_scales(
    real: DetectionDataset, painted: DetectionDataset, *, seed: int = 0, on_progress: OnProgress = lambda *_: None
) -> dict[str, Reading]:
    """Measure for each category how much larger people draw the box around the same object than the painted label is.

    The median over real objects of their box against where painting would put it, drawn towards a usual scale where
    there are few; the usual scale alone, with a doubt, where the network does not know what it sees; 1 where there is
    nothing to measure.
    """
    numbers = range(1, len(painted.categories) + 1)
    of_painted = [cut_patches(painted, number, most=MAX_OBJECTS) for number in numbers]
    of_real = []
    for number in numbers:
        on_progress("cutting out real objects", number - 1, len(numbers))
        of_real.append(cut_patches(real, number, most=MAX_OBJECTS))
    estimator = None
    if any(of_painted) and any(of_real):
        estimator = BoxScaleEstimator.fit(
            of_painted, seed=seed, on_step=lambda *done: on_progress("learning the scale of boxes", *done)
        )
    readings = {}
    done, total = 0, sum(map(len, of_real))

    def count() -> None:
        nonlocal done
        done += 1
        on_progress("measuring real objects", done, total)

    for name, painted_patches, real_patches in zip(painted.categories, of_painted, of_real, strict=True):
        measured = None
        if estimator is not None and painted_patches and real_patches:
            measured = estimator.measure(real_patches, count)
        factor, doubt = judge(measured) if measured is not None else (1.0, "")
        scale = BoxScale(factor=factor, real_boxes=len(real_patches), painted_boxes=len(painted_patches), doubt=doubt)
        readings[name] = Reading(scale=scale, real=real_patches, painted=painted_patches, measured=measured)
    return readings


def judge(measured: Measured) -> tuple[float, str]:
    """The scale, and why it is not what was measured."""
    count = len(measured.log_ratios)
    low, middle, high = np.quantile(measured.log_ratios, [0.25, 0.5, 0.75]).tolist()
    agreement, spread = float(np.median(measured.agreement)), (high - low) / 1.349
    if agreement < MIN_AGREEMENT:
        return _PRIOR_SCALE, (
            f"real ones look unlike the painted ones: shifted views of one object give other boxes (they agree by "
            f"{agreement:.2f}, {MIN_AGREEMENT} is needed)"
        )
    if count >= _SPREAD_FROM and spread > MAX_SPREAD:
        return _PRIOR_SCALE, (
            f"real ones look unlike the painted ones: their boxes over the estimated ones scatter by {spread:.0%} "
            f"({MAX_SPREAD:.0%} at most)"
        )
    return math.exp((middle * count + math.log(_PRIOR_SCALE) * _PRIOR_BOXES) / (count + _PRIOR_BOXES)), ""


def with_boxes(
    painted: DetectionDataset, boxes: BoxMode, measured: DetectionDataset | None
) -> tuple[DetectionDataset, dict[str, BoxScale]]:
    """Give painted pictures the boxes to train with; returns by how much tight ones were scaled, too.

    `measured` are the real pictures that the scale may be measured on; without any, calibrated boxes stay tight.
    """
    if boxes == "labelled":
        return painted, {}
    if boxes == "requested":
        return requested_boxes(painted), {}
    tight = tight_boxes(painted)
    if boxes == "tight" or measured is None:
        return tight, {}
    scales = {name: reading.scale for name, reading in measure_scales(measured, painted_only(tight)).items()}
    return rescale(tight, scales), scales


def choose_boxes(synthetic: Source, boxes: BoxMode, real: Source | None) -> Source:
    """Give painted pictures the boxes to train with. Raises BoxpaintError for calibrated ones without `real`."""
    if boxes == "calibrated" and real is None:
        raise BoxpaintError("--boxes calibrated: real boxes are needed to measure by; give --real")
    data, scales = with_boxes(synthetic.data, boxes, real.data if real is not None else None)
    return replace(synthetic, data=data, boxes=boxes, scales=scales)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """What an estimator says of N objects.

    `log_ratios`: (N,) how much larger the box that an object came with is than its tight one, natural logarithm, mean
    of both sides. `tight_xyxy`: (N, 4) the tight box, in pixels of the patch. `agreement`: (N,) mean IoU of the boxes
    that single windows give with their median; an estimator that knows what it sees gives the same box in all of them.
    """

    log_ratios: np.ndarray
    tight_xyxy: np.ndarray
    agreement: np.ndarray


class BoxScaleEstimator:
    """A small convolutional network that says where painting would put the box around an object.

    The same patches and seed give the same one on the same machine; half a minute on one core trains it.
    """

    def __init__(self, network: nn.Module):
        self._network = network.eval()

    @classmethod
    def fit(
        cls,
        patches: Sequence[Sequence[Patch]],
        *,
        seed: int,
        steps: int = STEPS,
        on_step: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> BoxScaleEstimator:
        """Train on the patches of painted objects, those of each category as often as those of any other.

        In one thread: more gain little on windows of this size, and wait for each other where a core is busy.
        """
        kinds = [kind for kind in patches if kind]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed))
            network = _network()
        optimizer = torch.optim.AdamW(decay_groups(network.parameters(), _WEIGHT_DECAY), lr=_LEARNING_RATE)

        def loss(step: int) -> torch.Tensor:
            windows, boxes = _batch(kinds, derive_rng(seed, step))
            said = network(_to_input(windows))
            return nn.functional.smooth_l1_loss(said, torch.from_numpy(boxes), beta=_LINEAR_FROM)

        class Steps(Listener):
            def on_step(self, step: int, _loss: float, /) -> None:
                on_step(step, steps)

        player = Player(
            modules={"network": network},
            loss=loss,
            optimizer=optimizer,
            scheduler=cosine_schedule(optimizer, steps, _WARMUP),
        )
        budget, device = Budget(steps=steps), torch.device("cpu")
        with one_thread():
            train([player], budget, seed=seed, device=device, batch_size=BATCH, listener=Steps())
        return cls(network)

    @torch.no_grad()
    def measure(self, patches: Sequence[Patch], on_object: Callable[[], None] = lambda: None) -> Measured:
        """Measure objects; `on_object` is told of each that is done."""
        ratios, agreement, tight = np.zeros(len(patches)), np.zeros(len(patches)), np.zeros((len(patches), 4))
        places = [*itertools.product(_MEASURED_SCALES, _MEASURED_SHIFTS)]
        with one_thread():
            for number, patch in enumerate(patches):
                cut = [cut_window(patch, scale, shift) for scale, shift in places]
                said = self._network(_to_input(np.stack([window for window, _ in cut]))).numpy()
                own = np.stack([box for _, box in cut])
                # A box that comes out inside out has no size; it counts as the smallest.
                said[:, 2:] = np.maximum(said[:, 2:], said[:, :2] + 1 / WINDOW_PX)
                sides = own[:, 2:] - own[:, :2]
                ratios[number] = np.log(sides / (said[:, 2:] - said[:, :2])).mean()
                # By its own box each window knows where the others lie.
                low, side = patch.box_xyxy[:2], patch.box_xyxy[2:] - patch.box_xyxy[:2]
                corners = (said - np.tile(own[:, :2], 2)) / np.tile(sides, 2) * np.tile(side, 2) + np.tile(low, 2)
                tight[number] = np.median(corners, axis=0)
                agreement[number] = box_iou(*map(torch.from_numpy, (corners, tight[[number]]))).mean()
                on_object()
        return Measured(log_ratios=ratios, tight_xyxy=tight, agreement=agreement)


def _network() -> nn.Module:
    widths = ((3, 16, 1), (16, 32, 2), (32, 32, 1), (32, 48, 2), (48, 48, 1), (48, 64, 2), (64, 64, 1))
    blocks = [
        (nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU())
        for before, after, stride in widths
    ]
    head = (nn.Flatten(), nn.Linear(64 * (WINDOW_PX // 8) ** 2, 64), nn.ReLU(), nn.Linear(64, 4))
    return nn.Sequential(*itertools.chain(*blocks), *head)


def _batch(kinds: Sequence[Sequence[Patch]], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    pairs = []
    for number in range(BATCH):
        kind = kinds[number % len(kinds)]
        patch = kind[int(rng.integers(len(kind)))]
        shift = rng.uniform(-MAX_SHIFT_SHARE, MAX_SHIFT_SHARE, 2)
        pairs.append(vary(*cut_window(patch, float(rng.uniform(*SCALE_RANGE)), shift), rng))
    return np.stack([window for window, _ in pairs]), np.stack([box for _, box in pairs])


def _to_input(windows: np.ndarray) -> torch.Tensor:
    """Each window by its own mean colour and contrast: the light of a camera says nothing of where an object ends."""
    values = windows.astype(np.float32) / 255
    mean, spread = values.mean((1, 2), keepdims=True), values.std((1, 2, 3), keepdims=True)
    return torch.from_numpy((values - mean) / (spread + 0.05)).permute(0, 3, 1, 2).contiguous()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patch:
    """An object with its surroundings: (_PATCH_PX, _PATCH_PX, 3) uint8 RGB, and its box (4,) in pixels of that."""

    image: np.ndarray
    box_xyxy: np.ndarray


def cut_patches(data: DetectionDataset, label: int, *, most: int) -> list[Patch]:
    """Cut out up to `most` objects of one category, evenly spread over the set.

    Boxes at the picture's edge are left out: what is cut off there is missing in the box as well.
    """
    places = [
        (sample, box)
        for sample in data.samples
        for box in sample.boxes_xyxy[sample.labels == label]
        if is_whole(sample, box)
    ]
    step = max(1.0, len(places) / most)
    patches = []
    picture, shown = np.empty((0, 0, 3), np.uint8), None
    for sample, box in (places[int(number * step)] for number in range(min(most, len(places)))):
        if sample.path != shown:
            picture, shown = read_rgb(sample.path, labelled_wh=(sample.width, sample.height)), sample.path
        patches.append(_cut_patch(picture, box))
    return patches


def cut_window(
    patch: Patch, scale: float, shift: np.ndarray | Sequence[float] = _NO_SHIFT
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a window `scale` times the longer side of the box, its middle off by `shift` shares of its side (x, y).

    Returns it as (WINDOW_PX, WINDOW_PX, 3) uint8, and the box (4,) in shares of its side.
    """
    low, high = patch.box_xyxy[:2], patch.box_xyxy[2:]
    side = max(4, round(float((high - low).max()) * scale))
    corner = np.rint((low + high) / 2 + np.asarray(shift) * side - side / 2).astype(int).clip(0, _PATCH_PX - side)
    part = patch.image[corner[1] : corner[1] + side, corner[0] : corner[0] + side]
    window = cv2.resize(part, (WINDOW_PX, WINDOW_PX), interpolation=cv2.INTER_AREA)
    return window, ((patch.box_xyxy - np.tile(corner, 2)) / side).astype(np.float32)


def vary(window: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Flip, turn, change light, colour, sharpness and grain; returns a window (..., 3) uint8 and the box in it."""
    x_min, y_min, x_max, y_max = box
    if rng.random() < 0.5:
        window, (x_min, x_max) = window[:, ::-1], (1 - x_max, 1 - x_min)
    if rng.random() < 0.5:
        window, (y_min, y_max) = window[::-1], (1 - y_max, 1 - y_min)
    if rng.random() < 0.5:
        window, (x_min, y_min, x_max, y_max) = window.transpose(1, 0, 2), (y_min, x_min, y_max, x_max)
    values: np.ndarray = window.astype(np.float32) * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    values = (values - 150) * rng.uniform(0.8, 1.2) + 150 * rng.uniform(0.85, 1.15)
    if rng.random() < 0.5:
        values = np.asarray(cv2.GaussianBlur(np.ascontiguousarray(values), (0, 0), rng.uniform(0.3, 1.5)))
    values = values + rng.normal(0, rng.uniform(0, 5), values.shape)
    return values.clip(0, 255).astype(np.uint8), np.array([x_min, y_min, x_max, y_max], np.float32)


def _cut_patch(picture: np.ndarray, box: np.ndarray) -> Patch:
    """Cut the surroundings of a box; beyond the picture its last pixels go on."""
    low, high = box[:2].astype(float), box[2:].astype(float)
    side = max(8, round(float((high - low).max()) * _PATCH_SCALE))
    left, top = np.floor((low + high) / 2 - side / 2).astype(int)
    height, width = picture.shape[:2]
    rows, columns = (np.arange(start, start + side) for start in (top, left))
    part = picture[rows.clip(0, height - 1)][:, columns.clip(0, width - 1)]
    shrinks = side > _PATCH_PX
    image = cv2.resize(part, (_PATCH_PX, _PATCH_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return Patch(image=image, box_xyxy=(box - np.array([left, top, left, top])) * _PATCH_PX / side)


def write_overlay(path: Path, readings: Mapping[str, Reading]) -> None:
    """Write a JPEG with two rows for each measured category: real objects, and painted ones. Raises StorageError."""
    sheets = [_sheet(name, each, each.measured) for name, each in readings.items() if each.measured is not None]
    whole = Image.new("RGB", (sheets[0].width, sum(sheet.height for sheet in sheets)))
    top = 0
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height
    with atomic_writer(path) as stream:
        whole.save(stream, "JPEG", quality=_QUALITY)


def _sheet(name: str, reading: Reading, measured: Measured) -> Image.Image:
    factor = reading.scale.factor
    cells = []
    for number in spread(len(reading.real), _COLUMNS):
        patch, tight = reading.real[number], measured.tight_xyxy[number]
        cells.append(_cell(patch, {"real": patch.box_xyxy, "tight": tight, "label": _scaled(tight, factor)}))
    cells += [Image.new("RGB", (_CELL_PX, _CELL_PX))] * (-len(cells) % _COLUMNS)
    for number in spread(len(reading.painted), _COLUMNS):
        patch = reading.painted[number]
        cells.append(_cell(patch, {"tight": patch.box_xyxy, "label": _scaled(patch.box_xyxy, factor)}))
    drawn = tile(cells, columns=_COLUMNS, cell_width=_CELL_PX)
    sheet = Image.new("RGB", (drawn.width, drawn.height + 2 * _LINE_PX))
    sheet.paste(drawn, (0, 2 * _LINE_PX))
    kind = (
        "the usual one, not measured" if reading.scale.doubt else f"measured on {reading.scale.real_boxes} real boxes"
    )
    for line, text in enumerate((f"{name}: box / object {factor:.2f}, {kind}", _LEGEND)):
        ImageDraw.Draw(sheet).text((4, 2 + line * _LINE_PX), text, fill="white")
    return sheet


def _cell(patch: Patch, boxes: Mapping[str, np.ndarray]) -> Image.Image:
    low, high = patch.box_xyxy[:2], patch.box_xyxy[2:]
    half = float((high - low).max()) * _SHOWN / 2
    corner, scale = (low + high) / 2 - half, _CELL_PX / (2 * half)
    shown = (*corner.tolist(), *(corner + 2 * half).tolist())
    cell = Image.fromarray(patch.image).resize((_CELL_PX, _CELL_PX), Image.Resampling.BICUBIC, box=shown)
    drawn = []
    for kind, box in boxes.items():
        x_min, y_min, x_max, y_max = np.rint((box - np.tile(corner, 2)) * scale).astype(int).clip(0, _CELL_PX).tolist()
        if x_max > x_min and y_max > y_min:
            drawn.append((kind, Box.from_xyxy(x_min, y_min, x_max, y_max)))
    return draw_boxes(cell, drawn, _COLOURS)


def _scaled(box: np.ndarray, factor: float) -> np.ndarray:
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * factor
    return np.concatenate([middle - half, middle + half])
