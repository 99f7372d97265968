"""Does the audit find what is there, and nothing else? On real photos, which nobody here painted.

    python -m benchmarks.leak_photos FOLDER [--photos 150]

In each photo one place is changed with OpenCV alone: pasted as a hard rectangle from another photo, softened, tinted,
or not at all. The probes then tell the places from untouched ones, as in `boxpaint audit`. A paste must be found;
where nothing was done, nothing may be.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from generator.audit.places import Place, draw_untouched
from generator.audit.probe import probe
from generator.decoding import decode_rgb
from generator.geometry import Box

SIDES_PX, MARGIN_PX = (60, 160), 20
TINT = np.array((8, -4, 4), np.int16)

# What becomes of a rectangle (HWC uint8), given another one of its size from another photo.
Change = Callable[[np.ndarray, np.ndarray], np.ndarray]

CHANGES: dict[str, Change] = {
    "hard paste": lambda _, other: other,
    "softened": lambda own, _: cv2.GaussianBlur(own, (0, 0), 1.5),
    "tinted": lambda own, _: np.clip(np.add(own, TINT, dtype=np.int16), 0, 255).astype(np.uint8),
    "untouched": lambda own, _: own,
}


def changed_places(photos: list[np.ndarray], change: Change) -> list[Place]:
    """Change one place in each photo, and pair it with an untouched one of the same photo."""
    rng = np.random.default_rng(0)
    places = []
    for number, photo in enumerate(photos):
        picture = photo.copy()
        height, width = picture.shape[:2]
        box_w, box_h = (int(side) for side in rng.integers(*SIDES_PX, size=2))
        x = int(rng.integers(MARGIN_PX, width - box_w - MARGIN_PX))
        y = int(rng.integers(MARGIN_PX, height - box_h - MARGIN_PX))
        other = photos[(number + int(rng.integers(1, len(photos)))) % len(photos)]
        from_x, from_y = int(rng.integers(0, other.shape[1] - box_w)), int(rng.integers(0, other.shape[0] - box_h))
        box = Box.from_xywh(x, y, box_w, box_h)
        picture[box.slices] = change(picture[box.slices], other[Box.from_xywh(from_x, from_y, box_w, box_h).slices])
        place = Place(picture=picture, box=box, group=number, is_painted=True)
        places += [each for pair in draw_untouched([place], [box], rng) for each in pair]
    return places


def main() -> None:
    """Change, probe and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=150)
    arguments = parser.parse_args()
    files = sorted(arguments.folder.glob("*.jpg"))[: arguments.photos]
    photos = [np.asarray(decode_rgb(file.read_bytes())) for file in files]
    table = Table(title=f"{len(photos)} real photos, one changed place in each: AUC with its 95 % interval")
    for column in ("what was done", "places", "features", "network"):
        table.add_column(column)
    for name, change in CHANGES.items():
        found = probe(changed_places(photos, change), seed=0)
        if found is None:
            raise SystemExit("too few photos")
        cells = [f"{each.value:.3f} [{each.low:.2f}, {each.high:.2f}]" for each in found.finding.auc.values()]
        table.add_row(name, str(found.finding.places), *cells)
        print(name, *cells, flush=True)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
