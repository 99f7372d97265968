"""What a ruler says, to be looked at: people's boxes, the tight ones it estimates, and those of painted objects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from detection.calibration.ruler import Measured
from detection.calibration.scale import Reading
from detection.calibration.windows import Patch
from generator.dataset.pictures import draw_boxes, spread, tile
from generator.foundation.geometry import Box
from generator.foundation.storage import atomic_writer

OVERLAY = "calibration.jpg"
# Okabe and Ito 2008: told apart by colour-blind eyes as well.
_COLOURS = {"real": "#56B4E9", "tight": "#E69F00", "label": "#009E73"}
_LEGEND = "blue: people's box; orange: tight box (above estimated, below painted); green: tight box, scaled = label"
_COLUMNS, _CELL_PX, _LINE_PX, _QUALITY = 6, 200, 16, 90
# Side of what is shown over the longer side of the box.
_SHOWN = 2.0


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
