"""The page that shows what a segmenter finds: a contact sheet, and an HTML page over the overlays.

overlays.png           some pictures, each beside what was found in it
index.html             every overlay, what was found, and scores where there are labels
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from detection.detectors.types import Detections
from detection.segmenter.overlay import draw_overlay, legend
from detection.segmenter.scores import MaskScores
from generator.dataset.pictures import category_colours, spread, tile
from generator.foundation.storage import atomic_writer, write_text
from generator.foundation.version import __version__
from generator.report import page_environment

SHEET, PAGE = "overlays.png", "index.html"
SHEET_PICTURES, _PAIRS_IN_A_ROW, _CELL_PX = 12, 2, 420


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPicture:
    """A picture of the page: its name, its overlay relative to the page, and how many objects of each category."""

    name: str
    overlay: str
    counts: Mapping[str, int]


class ContactSheet:
    """Collects pictures with what was found in them, spread over all, each small: memory does not grow with them."""

    def __init__(self, categories: Sequence[str], total: int):
        """`total` pictures will be offered."""
        self._categories = tuple(categories)
        self._chosen = set(spread(total, SHEET_PICTURES))
        self._offered = 0
        self._cells: list[Image.Image] = []
        self._counts = dict.fromkeys(self._categories, 0)

    def offer(self, picture: np.ndarray, found: Detections, counts: Mapping[str, int]) -> None:
        """Take the next picture (H, W, 3) uint8 when it is one of those chosen."""
        if self._offered in self._chosen:
            for shown in (picture, draw_overlay(picture, found, self._categories)):
                self._cells.append(Image.fromarray(shown))
                # The first decides the shape of all; others are padded to it.
                width, height = self._cells[0].size
                size = _CELL_PX, max(1, round(_CELL_PX * height / width))
                self._cells[-1] = ImageOps.pad(self._cells[-1], size, Image.Resampling.LANCZOS)
            for name, count in counts.items():
                self._counts[name] += count
        self._offered += 1

    def write(self, path: Path) -> None:
        """Write the sheet with its legend as a PNG. Raises StorageError."""
        sheet = tile(self._cells, columns=min(2 * _PAIRS_IN_A_ROW, len(self._cells)), cell_width=_CELL_PX)
        strip = legend(self._categories, self._counts, sheet.width)
        whole = Image.new("RGB", (sheet.width, sheet.height + strip.height))
        whole.paste(sheet)
        whole.paste(strip, (0, sheet.height))
        with atomic_writer(path) as stream:
            whole.save(stream, "PNG")


def write_page(
    folder: Path,
    about: Mapping[str, Any],
    pictures: Sequence[ShownPicture],
    categories: Sequence[str],
    *,
    min_score: float,
    scores: MaskScores | None,
) -> Path:
    """Write index.html over the overlays of a folder, with `about` in its head; returns it. Raises StorageError."""
    template = page_environment("detection.segmenter").get_template("overlays.html.j2")
    page = template.render(
        about={name: str(value) for name, value in about.items()},
        pictures=pictures,
        colours=category_colours(categories),
        min_score=min_score,
        scores=scores,
        version=__version__,
    )
    write_text(folder / PAGE, page)
    return folder / PAGE
