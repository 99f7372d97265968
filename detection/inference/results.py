"""What is found in pictures, as files: boxes alone (`boxpaint predict`) or masks (`boxpaint segment`).

Boxes
    drawn/<name>.png       the picture with the boxes that were found, their categories and scores
    detections.json        all boxes in COCO's form for results, and `file_name`; written last: finished
    predict.json           what was asked for, written first; in the end also what was found and what cannot be read
Masks
    overlays/<name>.png    the picture with its objects filled and outlined, and a legend
    instances/<name>.png   16 bit, one value a pixel: 0, or the number of the object, from 1, the best first
    semantic/<name>.png    one value a pixel: 0, or the number of the category, from 1; in the colours of the overlays
    instances.json         all objects in COCO's form for results: box, score and whole mask, run-length encoded
    overlays.png           some pictures, each beside what was found in it
    index.html             every overlay, what was found, and scores where there are labels
    mask_scores.json       mask AP and mean IoU, where the pictures have labels
    segment.json           as predict.json
Both
    pictures.json          a COCO file of the pictures and categories that the results speak of, without labels

One file of numbers for a picture, not one for an object: it opens in any tool, a busy picture stays one file, and 16
bit hold 65,535 objects. What overlaps is cut there by the better object; instances.json has every mask whole.

https://cocodataset.org/#format-results
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from detection.datasets.masks import PackedDetections, front_object, masks_of, semantic_map
from detection.datasets.names import as_unicode
from detection.datasets.types import DetectionDataset, Detections
from detection.detectors.types import Predictor
from detection.evaluation.mask_scores import MaskScores, score_masks
from detection.inference.drawing import ContactSheet, draw_found, draw_overlay, semantic_picture, with_legend
from detection.inference.finding import NamedPicture, find_each
from generator.dataset.pictures import category_colours
from generator.dataset.record import encode_mask
from generator.foundation.run_folder import PREDICTION, SEGMENTATION, working_in
from generator.foundation.storage import make_folder, write_bytes, write_json, write_text
from generator.foundation.version import __version__
from generator.report import page_environment

DRAWN, DETECTIONS, PICTURES = "drawn", "detections.json", "pictures.json"
OVERLAYS, INSTANCES, SEMANTIC, OBJECTS = "overlays", "instances", "semantic", "instances.json"
SHEET, PAGE, SCORES = "overlays.png", "index.html", "mask_scores.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPicture:
    """A picture with results: its name, where it is drawn, relative to the folder, and objects of each category."""

    name: str
    drawn: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Results:
    """What came of it: objects of each category; pictures that cannot be read, with the reason; and scores, if any."""

    pictures: int
    objects: dict[str, int]
    unreadable: dict[str, str]
    scores: MaskScores | None


def find_and_write(
    detector: Predictor,
    pictures: Sequence[NamedPicture],
    out: Path,
    *,
    with_masks: bool,
    about: Mapping[str, Any],
    min_score: float,
    labels: DetectionDataset | None = None,
    overwrite: bool = False,
    on_picture: Callable[[int], None] = lambda _: None,
) -> Results:
    """Find objects in pictures and write those with a score of `min_score` or better into the folder `out`.

    `about` says where they are from. `labels`, of the same pictures in the same order and of the detector's categories,
    are scored against all masks that are found. A picture that cannot be read is left out and named. Raises
    DatasetError when none can be read, RunMismatchError when `out` holds other files, or results and not `overwrite`,
    StorageError, and ModelError.
    """
    kind = SEGMENTATION if with_masks else PREDICTION
    head = {"boxpaint": __version__, **about, "min_score": min_score}
    with working_in(out):
        kind.make_room(out, overwrite=overwrite)
        files = ResultFiles(out, detector.categories, [picture.name for picture in pictures], with_masks=with_masks)
        sheet = ContactSheet(detector.categories, len(pictures))
        packed = PackedDetections()
        unreadable: dict[str, str] = {}
        for picture, pixels, answer in find_each(detector, pictures, unreadable, with_masks=with_masks):
            if not files.shown:
                kind.begin(out, head)
            if labels is not None:
                packed.append(answer)
            found = answer.confident(min_score)
            files.add(picture.name, pixels, found)
            if with_masks:
                sheet.offer(pixels, found)
            on_picture(len(files.shown) + len(unreadable))
        scores = score_masks(labels, packed, min_score=min_score) if labels is not None else None
        if scores is not None:
            write_json(out / SCORES, scores.to_json())
        if with_masks:
            write_png(out / SHEET, sheet.draw())
            page = _render_page(about, files.shown, detector.categories, min_score=min_score, scores=scores)
            write_text(out / PAGE, page)
        objects = {name: sum(each.counts[name] for each in files.shown) for name in detector.categories}
        kind.begin(out, {**head, "pictures": len(files.shown), "objects": objects, "unreadable": unreadable})
        files.finish()
    return Results(pictures=len(files.shown), objects=objects, unreadable=unreadable, scores=scores)


class ResultFiles:
    """Writes the results of one picture after the other; call `finish` after the last."""

    def __init__(self, folder: Path, categories: Sequence[str], names: Sequence[str], *, with_masks: bool = True):
        """`names` are those of the pictures, relative, of which each is one in what is written."""
        self.shown: list[ShownPicture] = []
        self._folder, self._categories, self._with_masks = folder, tuple(categories), with_masks
        self._files = dict(zip(names, file_names(names), strict=True))
        self._images: list[dict[str, Any]] = []
        self._objects: list[dict[str, Any]] = []

    def add(self, name: str, picture: np.ndarray, found: Detections) -> None:
        """Write what was found in a picture (H, W, 3) uint8. Raises StorageError."""
        height, width = picture.shape[:2]
        self._images.append({"id": len(self._images) + 1, "file_name": name, "width": width, "height": height})
        if self._with_masks:
            masks = masks_of(found)
            semantic = semantic_picture(semantic_map(masks, found.labels), len(self._categories))
            self._write(INSTANCES, name, Image.fromarray(front_object(masks)))
            self._write(SEMANTIC, name, semantic)
            overlay = draw_overlay(picture, found, self._categories)
            drawn = self._write(OVERLAYS, name, with_legend(overlay, found, self._categories))
        else:
            drawn = self._write(DRAWN, name, draw_found(Image.fromarray(picture), found, self._categories))
        self._objects += coco_results(found, len(self._images), name, with_masks=self._with_masks)
        self.shown.append(ShownPicture(name=name, drawn=drawn, counts=found.counts(self._categories)))

    def finish(self) -> None:
        """Write the JSON files, that of the objects last. Raises StorageError."""
        head: dict[str, Any] = {}
        categories: list[dict[str, Any]] = [{"id": id_, "name": name} for id_, name in enumerate(self._categories, 1)]
        if self._with_masks:
            head = {"info": {"description": f"pictures segmented by boxpaint {__version__}", "version": "1"}}
            head["licenses"] = []
            categories = [{**each, "supercategory": each["name"]} for each in categories]
        content = {**head, "images": self._images, "annotations": [], "categories": categories}
        write_json(self._folder / PICTURES, content, indent=None)
        write_json(self._folder / (OBJECTS if self._with_masks else DETECTIONS), self._objects, indent=None)

    def _write(self, kind: str, name: str, picture: Image.Image) -> str:
        path = f"{kind}/{self._files[name]}"
        write_png(self._folder / path, picture)
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


def coco_results(found: Detections, image_id: int, file_name: str, *, with_masks: bool) -> list[dict[str, Any]]:
    """Give what was found in a picture in COCO's form for results; boxes with the picture's name, masks with
    `instance`, the number in the instance PNG."""
    rows = zip(found.boxes_xywh.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True)
    boxes = [
        {
            "image_id": image_id,
            **({} if with_masks else {"file_name": file_name}),
            "category_id": label,
            "bbox": [round(value, 2) for value in box],
            "score": round(score, 5),
        }
        for box, label, score in rows
    ]
    if not with_masks:
        return boxes
    encoded = [encode_mask(mask).model_dump(mode="json") for mask in masks_of(found)]
    return [
        {**each, "segmentation": mask, "instance": number}
        for number, (each, mask) in enumerate(zip(boxes, encoded, strict=True), start=1)
    ]


def write_png(path: Path, picture: Image.Image) -> None:
    """Write a picture; its folder is made. Raises StorageError."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    make_folder(path.parent)
    write_bytes(path, buffer.getvalue())


def _render_page(
    about: Mapping[str, Any],
    pictures: Sequence[ShownPicture],
    categories: Sequence[str],
    *,
    min_score: float,
    scores: MaskScores | None,
) -> str:
    """The page over the overlays, with `about` in its head."""
    return (
        page_environment("detection.inference")
        .get_template("overlays.html.j2")
        .render(
            about={name: str(value) for name, value in about.items()},
            pictures=pictures,
            colours=category_colours(categories),
            min_score=min_score,
            scores=scores,
            version=__version__,
        )
    )
