"""What a segmenter finds in pictures, as files.

overlays/<name>.png    the picture with its objects filled and outlined, and a legend
instances/<name>.png   16 bit, one value a pixel: 0, or the number of the object, from 1, the best first
semantic/<name>.png    one value a pixel: 0, or the number of the category, from 1; with the colours of the overlays
instances.json         all objects in COCO's form for results: box, score and whole mask, run-length encoded
pictures.json          a COCO file of the pictures and categories that instances.json speaks of, without labels

One file of numbers for a picture, not one for an object: it opens in any tool, a busy picture stays one file, and 16
bit hold 65,535 objects. What overlaps is cut there by the better object; instances.json has every mask whole.

https://cocodataset.org/#format-results
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from detection.datasets.names import as_unicode
from detection.detectors.types import Detections
from detection.segmenter.maps import front_object, masks_of, semantic_map
from detection.segmenter.overlay import draw_overlay, palette, with_legend
from generator.dataset.record import encode_mask
from generator.foundation.storage import make_folder, write_bytes, write_json
from generator.foundation.version import __version__

OVERLAYS, INSTANCES, SEMANTIC = "overlays", "instances", "semantic"
RESULTS, PICTURES = "instances.json", "pictures.json"
_MOST_OF_A_PALETTE = 255


class ResultFiles:
    """Writes the results of one picture after the other; call `finish` after the last."""

    def __init__(self, folder: Path, categories: Sequence[str], names: Sequence[str]):
        """`names` are those of the pictures, relative, of which each is one in what is written."""
        self.folder = folder
        self.categories = tuple(categories)
        self._files = dict(zip(names, file_names(names), strict=True))
        self._images: list[dict[str, Any]] = []
        self._objects: list[dict[str, Any]] = []

    def add(self, name: str, picture: np.ndarray, found: Detections) -> Path:
        """Write what was found in a picture (H, W, 3) uint8; returns its overlay. Raises StorageError."""
        masks = masks_of(found)
        front = front_object(masks)
        drawn = draw_overlay(picture, found, self.categories)
        self._write(INSTANCES, name, Image.fromarray(front))
        self._write(SEMANTIC, name, semantic_picture(semantic_map(masks, found.labels), len(self.categories)))
        self._images.append(
            {
                "id": len(self._images) + 1,
                "file_name": name,
                "width": picture.shape[1],
                "height": picture.shape[0],
            }
        )
        self._objects += coco_results(found, len(self._images))
        return self._write(OVERLAYS, name, with_legend(drawn, found, self.categories))

    def finish(self) -> None:
        """Write the JSON files, instances.json last. Raises StorageError."""
        categories = [
            {"id": number, "name": name, "supercategory": name} for number, name in enumerate(self.categories, start=1)
        ]
        content = {
            "info": {"description": f"pictures segmented by boxpaint {__version__}", "version": "1"},
            "licenses": [],
            "images": self._images,
            "annotations": [],
            "categories": categories,
        }
        write_json(self.folder / PICTURES, content, indent=None)
        write_json(self.folder / RESULTS, self._objects, indent=None)

    def _write(self, kind: str, name: str, picture: Image.Image) -> Path:
        path = self.folder / kind / self._files[name]
        make_folder(path.parent)
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        write_bytes(path, buffer.getvalue())
        return path


def file_names(names: Sequence[str]) -> list[str]:
    """Name a PNG for each picture, in the same folder; with its old suffix too when two would be the same.

    >>> file_names(["a/1.jpg", "a/2.jpg"])
    ['a/1.png', 'a/2.png']
    >>> file_names(["1.jpg", "1.png"])
    ['1.jpg.png', '1.png.png']
    """
    names = [as_unicode(name) for name in names]
    short = [str(PurePosixPath(name).with_suffix(".png")) for name in names]
    # Some file systems take capitals for small letters.
    if max(Counter(name.lower() for name in short).values(), default=1) == 1:
        return short
    return [f"{name}.png" for name in names]


def coco_results(found: Detections, image_id: int) -> list[dict[str, Any]]:
    """Give what was found in a picture in COCO's form for results; `instance` is its number in the instance PNG."""
    return [
        {
            "image_id": image_id,
            "category_id": int(label),
            "bbox": [round(value, 2) for value in box.tolist()],
            "score": round(float(score), 5),
            "segmentation": encode_mask(mask).model_dump(mode="json"),
            "instance": number,
        }
        for number, (box, label, score, mask) in enumerate(
            zip(found.boxes_xywh, found.labels, found.scores, masks_of(found), strict=True), start=1
        )
    ]


def semantic_picture(drawn: np.ndarray, categories: int) -> Image.Image:
    """Make a picture of a semantic map (H, W) uint16: with a palette, or 16 bit where there are too many categories."""
    if categories > _MOST_OF_A_PALETTE:
        return Image.fromarray(drawn)
    picture = Image.fromarray(drawn.astype(np.uint8))
    picture.putpalette(palette())  # makes it "P"
    return picture
