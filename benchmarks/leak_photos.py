"""Does the audit find what is there, and nothing else? On real photos, which nobody here painted.

    python -m benchmarks.leak_photos DATASET [--photos 150]

In each photo one place is changed with OpenCV alone: pasted as a hard rectangle from another photo, softened, tinted,
or not at all. The probes then tell the places from untouched ones, as in `boxpaint audit`. A paste must be found;
where nothing was done, nothing may be. The last row is no change at all: the labelled objects of the photos, hidden
under ellipses. What a probe finds around them is what objects do to their surroundings, not a seam.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from benchmarks import Results, auc_text, make_parser
from detection.datasets.read import read_rgb
from detection.datasets.sources import match_sources, read_source
from detection.datasets.types import Sample
from generator.audit.leak import hidden_pixels
from generator.audit.places import Place, centres_of, draw_untouched
from generator.audit.probe import probe
from generator.foundation.geometry import Box

SIDES_PX, MARGIN_PX = (60, 160), 20
# Of an object's longer side, around its box: where painting would end.
PADDING = 0.12
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
    changed: list[Place] = []
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
        changed.append(Place(picture=picture, box=box, group=number, is_painted=True))
    return _with_untouched([[place] for place in changed], rng)


def object_places(samples: Sequence[Sample], photos: Sequence[np.ndarray]) -> list[Place]:
    """The surroundings of real objects, as `boxpaint audit` has those of painted ones."""
    found: list[list[Place]] = []
    for number, (sample, photo) in enumerate(zip(samples, photos, strict=True)):
        objects = []
        for x_min, y_min, x_max, y_max in sample.boxes_xyxy.tolist():
            border = PADDING * max(x_max - x_min, y_max - y_min)
            edges = int(x_min - border), int(y_min - border), int(x_max + border), int(y_max + border)
            if edges[0] < 0 or edges[1] < 0 or edges[2] > sample.width or edges[3] > sample.height:
                continue
            mask = np.zeros(photo.shape[:2], np.uint8)
            centre = round((x_min + x_max) / 2), round((y_min + y_max) / 2)
            cv2.ellipse(mask, centre, (round((x_max - x_min) / 2), round((y_max - y_min) / 2)), 0, 0, 360, 1, -1)
            box = Box.from_xyxy(*edges)
            hidden = hidden_pixels(mask.astype(bool))[box.slices]
            objects.append(Place(picture=photo, box=box, group=number, is_painted=True, hidden=hidden))
        found.append(objects)
    return _with_untouched(found, np.random.default_rng(0))


def _with_untouched(pictures: Sequence[Sequence[Place]], rng: np.random.Generator) -> list[Place]:
    """Places of pictures and as many untouched ones, as `boxpaint audit` draws them."""
    centres = centres_of(place for places in pictures for place in places)
    pairs = [
        pair for places in pictures for pair in draw_untouched(places, [each.box for each in places], centres, rng)
    ]
    return [place for pair in pairs for place in pair]


def main() -> None:
    """Change, probe and print the table."""
    parser = make_parser(__doc__)
    parser.add_argument("dataset", help="real photos with labels: DATASET[:SPLIT], COCO")
    parser.add_argument("--photos", type=int, default=150)
    parser.add_argument("--class", dest="classes", action="append", help="objects of the last row (default: all)")
    arguments = parser.parse_args()
    (source,) = match_sources([read_source(arguments.dataset, "real")], arguments.classes, {})
    samples = source.data.samples[: arguments.photos]
    photos = [read_rgb(sample.path) for sample in samples]
    rows = {name: changed_places(photos, change) for name, change in CHANGES.items()}
    rows["labelled objects, hidden"] = object_places(samples, photos)
    title = f"{len(photos)} real photos: AUC with its 95 % interval"
    with Results(title, "what was done", "places", "features", "network") as table:
        for name, places in rows.items():
            finding = probe(places, seed=0).finding
            if finding is None:
                raise SystemExit("too few photos")
            table.add(name, finding.places, *map(auc_text, finding.auc.values()))


if __name__ == "__main__":
    main()
