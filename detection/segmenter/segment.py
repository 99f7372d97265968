"""Pictures in, overlays and masks out, and scores where the pictures are labelled.

segment.json           what was asked for, written first; in the end also what was found and what could not be read
mask_scores.json       mask AP and mean IoU, where the pictures have labels
all else               see results.py and page.py; instances.json is written last: finished
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from detection.datasets.types import DetectionDataset
from detection.detectors.model_folder import read_card
from detection.detectors.registry import DETECTORS, load_detector
from detection.detectors.types import Detector
from detection.evaluation.finding import confident
from detection.runs.folder import find_model
from detection.segmenter.overlay import counts_of
from detection.segmenter.packed import PackedDetections
from detection.segmenter.page import PAGE, SHEET, ContactSheet, ShownPicture, write_page
from detection.segmenter.pictures import NamedPicture, find_masks
from detection.segmenter.results import INSTANCES, OVERLAYS, PICTURES, RESULTS, SEMANTIC, ResultFiles
from detection.segmenter.scores import MaskScores, score_masks
from detection.work_folder import make_room, working_in
from generator.foundation.errors import DatasetError, Fault, ModelError
from generator.foundation.storage import write_json
from generator.foundation.version import __version__

KIND = "boxpaint segmentation"
ABOUT, SCORES = "segment.json", "mask_scores.json"
_ALL = (ABOUT, OVERLAYS, INSTANCES, SEMANTIC, PICTURES, SHEET, PAGE, SCORES, RESULTS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segmented:
    """What came of it: objects of each category; pictures that cannot be read, with the reason; and scores, if any."""

    page: Path
    pictures: int
    counts: dict[str, int]
    unreadable: dict[str, str]
    scores: MaskScores | None


def load_segmenter(run: Path, device: torch.device) -> Detector:
    """Load the detector of a finished run. Raises ModelError when there is none, or it gives no masks."""
    folder = find_model(run)
    name = read_card(folder).name
    if not getattr(DETECTORS.get(name), "gives_masks", True):
        raise ModelError(f"{run}: its detector, {name}, gives no masks; `boxpaint predict` draws its boxes")
    return load_detector(folder, device)


def segment(
    detector: Detector,
    pictures: Sequence[NamedPicture],
    out: Path,
    *,
    about: Mapping[str, Any],
    min_score: float,
    labels: DetectionDataset | None = None,
    overwrite: bool = False,
    on_picture: Callable[[int], None] = lambda _: None,
) -> Segmented:
    """Find the objects of pictures, and write them into the folder `out`; `about` says where they are from.

    Only objects with a score of `min_score` or better are drawn and written. `labels`, of the same pictures in the
    same order and of the detector's categories, are scored against all that is found; mask_scores.json holds that. A
    picture that cannot be read is left out and named. Raises DatasetError when none can be read, RunMismatchError when
    `out` holds other files, or results and not `overwrite`, StorageError, and ModelError.
    """
    with working_in(out):
        make_room(out, kind=KIND, marker=ABOUT, names=_ALL, overwrite=overwrite, last=RESULTS)
        head = {"kind": KIND, "boxpaint": __version__, **about, "min_score": min_score}
        write_json(out / ABOUT, head)
        files = ResultFiles(out, detector.categories, [picture.name for picture in pictures])
        sheet = ContactSheet(detector.categories, len(pictures))
        packed = PackedDetections()
        unreadable: dict[str, str] = {}
        shown: list[ShownPicture] = []
        for picture, pixels, found in find_masks(detector, pictures, unreadable):
            if labels is not None:
                packed.append(found)
            chosen = confident(found, min_score)
            counts = counts_of(chosen, detector.categories)
            overlay = files.add(picture.name, pixels, chosen)
            sheet.offer(pixels, chosen, counts)
            shown.append(ShownPicture(name=picture.name, overlay=overlay.relative_to(out).as_posix(), counts=counts))
            on_picture(len(shown) + len(unreadable))
        if not shown:
            expected = f"none of the {len(pictures)} pictures can be read; the first: {unreadable[pictures[0].name]}"
            raise DatasetError([Fault(file=str(pictures[0].path), expected=expected)])
        sheet.write(out / SHEET)
        scores = score_masks(labels, packed, min_score=min_score) if labels is not None else None
        if scores is not None:
            write_json(out / SCORES, scores.to_json())
        page = write_page(out, about, shown, detector.categories, min_score=min_score, scores=scores)
        totals = {name: sum(each.counts[name] for each in shown) for name in detector.categories}
        write_json(out / ABOUT, {**head, "pictures": len(shown), "objects": totals, "unreadable": unreadable})
        files.finish()
        return Segmented(page=page, pictures=len(shown), counts=totals, unreadable=unreadable, scores=scores)
