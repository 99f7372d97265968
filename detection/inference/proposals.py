"""Boxes and masks proposed for photos without labels: a data set that annotation tools open for correction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from detection.datasets.masks import outline
from detection.datasets.names import portable_path, unique_stems
from detection.datasets.picture_set import Annotation, Category, Picture, PictureSet
from detection.datasets.types import Detections
from detection.datasets.write import annotation
from detection.detectors.types import Predictor
from detection.formats.exporting import ExportReport, write_export
from detection.formats.registry import WRITERS, find_format
from detection.formats.target import ExportOptions
from detection.inference.finding import NamedPicture, find_each
from generator.foundation.run_folder import EXPORT, check_outside
from generator.foundation.version import __version__
from generator.labels.segmentation import mask_to_polygons

SPLIT = "proposed"


def annotate_pictures(
    proposer: Predictor,
    pictures: Sequence[NamedPicture],
    out: Path,
    *,
    form: str = "coco",
    min_score: float,
    with_masks: bool,
    made_of: str,
    overwrite: bool = False,
    on_picture: Callable[[int, int], None] = lambda _done, _total: None,
) -> ExportReport:
    """Propose boxes with a score of `min_score` or better for each picture, and write them in a format of exports.

    Every label has its `score`. `with_masks` outlines each object: by the proposer's own masks, else by what stands out
    in the box. A picture that cannot be read is left out and noted. Raises DatasetError when none can be read,
    RunMismatchError when `out` is taken, ModelError, StorageError; `out` appears whole at the very end.
    """
    find_format(form, WRITERS)
    check_outside(out, *dict.fromkeys(each.path.parent for each in pictures))
    EXPORT.check_free(out, overwrite=overwrite)
    categories = tuple(
        Category(id=number, name=name, content={"id": number, "name": name, "supercategory": name})
        for number, name in enumerate(proposer.categories, start=1)
    )
    stems = unique_stems([portable_path(each.name) for each in pictures])
    names = {each.name: f"{stem}{each.path.suffix}" for each, stem in zip(pictures, stems, strict=True)}
    unreadable: dict[str, str] = {}
    annotated: list[Picture] = []
    counted = 0
    for picture, pixels, answer in find_each(proposer, pictures, unreadable, with_masks=with_masks):
        number, name = len(annotated) + 1, names[picture.name]
        found = answer.confident(min_score)
        annotations = tuple(_annotations(found, pixels, categories, number, counted, with_masks=with_masks))
        counted += len(annotations)
        height, width = pixels.shape[:2]
        annotated.append(
            Picture(
                id=number,
                path=picture.path,
                name=name,
                split=SPLIT,
                width=width,
                height=height,
                annotations=annotations,
                content={"id": number, "file_name": name, "width": width, "height": height},
                source="real",
            )
        )
        on_picture(len(annotated) + len(unreadable), len(pictures))
    description = f"Proposed by {made_of}, not yet checked by a person"
    info = {"description": description, "contributor": f"boxpaint {__version__}"}
    notes = [f"{name} is left out: {reason}" for name, reason in unreadable.items()]
    data = PictureSet(
        categories=categories, pictures=tuple(annotated), heads={SPLIT: {"info": info}}, notes=tuple(notes)
    )
    return write_export(data, out, form, ExportOptions(overwrite=overwrite), made_of=(made_of,))


def _annotations(
    found: Detections,
    pixels: np.ndarray,
    categories: Sequence[Category],
    image_id: int,
    before: int,
    *,
    with_masks: bool,
) -> Iterator[Annotation]:
    size_wh = pixels.shape[1], pixels.shape[0]
    for place, (box, label, score) in enumerate(zip(found.boxes_xyxy, found.labels, found.scores, strict=True)):
        mask = None
        if with_masks:
            mask = found.masks[place] if found.masks is not None else outline(pixels, box)
        polygons = mask_to_polygons(mask) if mask is not None else []
        content = annotation(before + place + 1, image_id, int(label), box.tolist(), polygons, size_wh)
        content["score"] = round(float(score), 5)
        yield Annotation(
            id=content["id"],
            category=categories[int(label) - 1],
            box_xywh=tuple(content["bbox"]),
            area=float(content["area"]),
            segmentation=content["segmentation"] or None,
            is_crowd=False,
            score=content["score"],
            content=content,
        )
