"""Square crops of cells for the two models that look: CLIP and BLIP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from generator.foundation.geometry import Box, square_around
from training.pocket.smears import BACKGROUND, SCENE, Cell, Smear, cells_in_view, cut, empty_square

SHARES = {"white blood cell": 0.28, "platelet": 0.28, "red blood cell": 0.2, BACKGROUND: 0.12, SCENE: 0.12}
CELL_KINDS = ("white blood cell", "platelet", "red blood cell")
# Smaller ones show one red cell, and are one.
EMPTY_SIDES_PX = (130, 260)
SCENE_SIDES_PX = (260, 480)
# The margin at which painted and reference crops are looked at, and those that are trained on: close to it, because
# how large a cell is shows in its neighbours alone.
MARGIN, MARGINS = 0.25, (0.12, 0.45)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crop:
    """A square picture (HWC uint8 RGB) and what it shows: a cell, a part without stained cells ("background"), or a
    large part of a photo ("scene", with its number of red cells and the other kinds in view)."""

    pixels: np.ndarray
    kind: str
    size: str = ""
    tone: str = ""
    purple: bool = False
    num_red: int = 0
    others: tuple[str, ...] = ()


def training_crop(
    smears: Sequence[Smear], side_px: int, rng: np.random.Generator, *, kinds: Sequence[str] = tuple(SHARES)
) -> Crop:
    """Draw a crop of a kind drawn by `SHARES`, changed in ways that change nothing about what it shows."""
    shares = np.array([SHARES[kind] for kind in kinds])
    kind = str(rng.choice(kinds, p=shares / shares.sum()))
    while True:
        smear = smears[int(rng.integers(len(smears)))]
        if kind == SCENE:
            return _scene(smear, side_px, rng)
        if kind == BACKGROUND:
            box = empty_square(smear, int(rng.integers(*EMPTY_SIDES_PX)), rng)
            cell = None
        else:
            cells = smear.of_kind(kind)
            cell = cells[int(rng.integers(len(cells)))] if cells else None
            shift = (float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-0.8, 0.8)))
            box = _around(smear, cell, float(rng.uniform(*MARGINS)), shift) if cell else None
        if box is not None:
            break
    pixels = _varied(cut(smear, box, side_px), rng)
    return _described(pixels, kind, cell)


def held_out_crops(smears: Sequence[Smear], side_px: int, rng: np.random.Generator) -> list[Crop]:
    """Cut every white cell and platelet, and as many red cells and empty places as there are platelets, unchanged."""
    crops: list[Crop] = []
    of_kind = {kind: [(smear, cell) for smear in smears for cell in smear.of_kind(kind)] for kind in CELL_KINDS}
    fair = max(1, len(of_kind["platelet"]))
    red = of_kind["red blood cell"]
    of_kind["red blood cell"] = [red[int(i)] for i in rng.choice(len(red), min(fair, len(red)), replace=False)]
    for kind, cells in of_kind.items():
        for smear, cell in cells:
            crops.append(_described(cut(smear, _around(smear, cell, MARGIN, (0, 0)), side_px), kind, cell))
    for number in range(fair):
        smear = smears[number % len(smears)]
        box = empty_square(smear, int(rng.integers(*EMPTY_SIDES_PX)), rng)
        if box is not None:
            crops.append(_described(cut(smear, box, side_px), BACKGROUND, None))
    return crops


def _around(smear: Smear, cell: Cell, margin: float, shift: tuple[float, float]) -> Box:
    height, width = smear.image.shape[:2]
    return square_around(cell.box, margin=margin, size_wh=(width, height), shift=shift)


def _scene(smear: Smear, side_px: int, rng: np.random.Generator) -> Crop:
    height, width = smear.image.shape[:2]
    side = min(int(rng.integers(*SCENE_SIDES_PX, endpoint=True)), width, height)
    x, y = (int(rng.integers(0, room - side, endpoint=True)) for room in (width, height))
    box = Box.from_xywh(x, y, side, side)
    num_red, others = cells_in_view(smear, box)
    return Crop(pixels=_varied(cut(smear, box, side_px), rng), kind=SCENE, num_red=num_red, others=others)


def _described(pixels: np.ndarray, kind: str, cell: Cell | None) -> Crop:
    if cell is None:
        return Crop(pixels=pixels, kind=kind)
    return Crop(pixels=pixels, kind=kind, size=cell.size, tone=cell.tone, purple=cell.purple)


def _varied(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flip, turn, soften, and shift the colours a little: less than what tells dark from pale."""
    pixels = np.rot90(pixels, int(rng.integers(4)))
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if rng.random() < 0.5:  # painted crops come through a VAE that smooths fine speckle
        pixels = cv2.GaussianBlur(np.ascontiguousarray(pixels), (0, 0), float(rng.uniform(0.3, 1.5)))
    gain = rng.uniform(0.94, 1.06, 3) * rng.uniform(0.92, 1.08)
    varied: np.ndarray = np.clip(pixels * gain + rng.uniform(-8, 8, 3), 0, 255).astype(np.uint8)
    return varied
