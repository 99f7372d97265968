"""What a detector finds in pictures without labels, as files.

drawn/<name>.png     the picture with the boxes that were found, their categories and scores
predict.json         where it is from, written first; in the end also the pictures that could not be read
pictures.json        a COCO file of the pictures and categories that detections.json speaks of, without labels
detections.json      all boxes in COCO's form for results, https://cocodataset.org/#format-results, and `file_name`;
                     written last: finished
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from detection.detectors.types import Detections, Detector
from detection.evaluation.drawing import draw_found
from detection.evaluation.finding import confident
from detection.segmenter.pictures import NamedPicture, find_masks
from detection.segmenter.results import file_names
from detection.work_folder import make_room, working_in
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.storage import make_folder, write_bytes, write_json
from generator.foundation.version import __version__

KIND = "boxpaint prediction"
DRAWN, DETECTIONS, PICTURES, ABOUT = "drawn", "detections.json", "pictures.json", "predict.json"
_ALL = (DRAWN, DETECTIONS, PICTURES, ABOUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What came of it: objects of each category, and pictures that could not be read, with the reason."""

    pictures: int
    objects: Mapping[str, int]
    unreadable: Mapping[str, str]


def predict_pictures(
    detector: Detector,
    pictures: Sequence[NamedPicture],
    out: Path,
    *,
    about: Mapping[str, Any],
    min_score: float,
    overwrite: bool = False,
    on_picture: Callable[[int], None] = lambda _: None,
) -> Predicted:
    """Find objects in pictures and write those with a score of `min_score` or better into the folder `out`.

    A picture that cannot be read is left out and named. Raises DatasetError when none can be read, RunMismatchError
    when `out` holds other files, or results and not `overwrite`, StorageError, ModelError.
    """
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    counts = np.zeros(len(detector.categories) + 1, np.int64)
    unreadable: dict[str, str] = {}
    files = dict(zip((each.name for each in pictures), file_names([each.name for each in pictures]), strict=True))
    with working_in(out):
        make_room(out, kind=KIND, marker=ABOUT, last=DETECTIONS, names=_ALL, overwrite=overwrite)
        head = {"kind": KIND, "boxpaint": __version__, **about, "min_score": min_score}
        for picture, pixels, answer in find_masks(detector, pictures, unreadable, with_masks=False):
            if not images:
                write_json(out / ABOUT, head)
            found = confident(answer, min_score)
            height, width = pixels.shape[:2]
            images.append({"id": len(images) + 1, "file_name": picture.name, "width": width, "height": height})
            objects += _coco_results(found, len(images), picture.name)
            counts += np.bincount(found.labels, minlength=len(counts))
            _write_png(
                out / DRAWN / files[picture.name], draw_found(Image.fromarray(pixels), found, detector.categories)
            )
            on_picture(len(images) + len(unreadable))
        if not images:
            expected = f"none of the {len(pictures)} pictures can be read; the first: {unreadable[pictures[0].name]}"
            raise DatasetError([Fault(file=str(pictures[0].path), expected=expected)])
        categories = [{"id": number, "name": name} for number, name in enumerate(detector.categories, start=1)]
        write_json(out / PICTURES, {"images": images, "annotations": [], "categories": categories}, indent=None)
        found_counts = dict(zip(detector.categories, counts[1:].tolist(), strict=True))
        write_json(out / ABOUT, {**head, "pictures": len(images), "objects": found_counts, "unreadable": unreadable})
        write_json(out / DETECTIONS, objects, indent=None)
    return Predicted(pictures=len(images), objects=found_counts, unreadable=unreadable)


def _coco_results(found: Detections, image_id: int, file_name: str) -> list[dict[str, Any]]:
    boxes = found.boxes_xywh.tolist()
    return [
        {
            "image_id": image_id,
            "file_name": file_name,
            "category_id": label,
            "bbox": [round(value, 2) for value in box],
            "score": round(score, 5),
        }
        for box, label, score in zip(boxes, found.labels.tolist(), found.scores.tolist(), strict=True)
    ]


def _write_png(path: Path, picture: Image.Image) -> None:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    make_folder(path.parent)
    write_bytes(path, buffer.getvalue())
