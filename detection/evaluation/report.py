"""A detector on a data set: figures, curves and the worst pictures, as files and as one page.

pr_curves.png        precision over recall of each category
scores.json          figures over all, of each category and size, and the best least score; written first
report.html          all of it on one page, with the pictures that have most mistakes; written last: finished
"""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from detection.coco_metrics import SetScores, score_sets
from detection.datasets.read import open_rgb
from detection.datasets.types import DetectionDataset
from detection.detectors.types import Detections
from detection.evaluation.curves import draw_precision_recall
from detection.evaluation.drawing import MISSED, RIGHT, WRONG, draw_mistakes
from detection.evaluation.mistakes import (
    PictureMistakes,
    WorkingPoint,
    best_working_point,
    find_mistakes,
    match_pictures,
)
from generator.foundation.storage import make_folder, write_bytes, write_json, write_text
from generator.foundation.version import __version__
from generator.report import page_environment

SCHEMA_VERSION = 1
KIND = "boxpaint evaluation"
SCORES, CURVES, PAGE = NAMES = "scores.json", "pr_curves.png", "report.html"
# Where nothing is right anywhere, there is no best score to take boxes from.
_MIN_SCORE = 0.3
_JPEG_QUALITY = 88


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """What a detector is worth on a data set; `mistakes` from the working point on, the worst picture first."""

    scores: SetScores
    working_point: WorkingPoint | None
    mistakes: tuple[PictureMistakes, ...]


def evaluate_found(data: DetectionDataset, found: Sequence[Detections]) -> Evaluation:
    """Score what was found in each picture of a data set, and find its mistakes."""
    matches = match_pictures(data, found)
    point = best_working_point(data, found, matches)
    min_score = point.min_score if point else _MIN_SCORE
    return Evaluation(
        scores=score_sets(data, found),
        working_point=point,
        mistakes=tuple(find_mistakes(data, found, matches, min_score=min_score)),
    )


def write_evaluation(
    evaluation: Evaluation,
    data: DetectionDataset,
    found: Sequence[Detections],
    folder: Path,
    *,
    about: Mapping[str, Any],
    worst: int,
) -> Path:
    """Write scores.json (with `about` before the figures), pr_curves.png and report.html; returns the page.

    `worst` is how many pictures with mistakes are shown. Raises StorageError.
    """
    make_folder(folder)
    point = evaluation.working_point
    content = {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "boxpaint": __version__,
        **about,
        "scores": evaluation.scores.to_json(),
        "working_point": dataclasses.asdict(point) if point else None,
    }
    curves = draw_precision_recall(evaluation.scores)
    shown = [item for item in evaluation.mistakes if item.count][:worst]
    page = _render(
        about={name: str(value) for name, value in about.items()},
        scores=evaluation.scores,
        point=point,
        min_score=point.min_score if point else _MIN_SCORE,
        curves=base64.b64encode(curves).decode(),
        pictures=[_shown(item, data, found[item.picture]) for item in shown],
        faulty=sum(item.count > 0 for item in evaluation.mistakes),
        colours={"right": RIGHT, "wrong": WRONG, "missed": MISSED},
        version=__version__,
    )
    # scores.json says whose folder it is.
    write_json(folder / SCORES, content)
    write_bytes(folder / CURVES, curves)
    write_text(folder / PAGE, page)
    return folder / PAGE


def _shown(mistakes: PictureMistakes, data: DetectionDataset, found: Detections) -> dict[str, Any]:
    sample = data.samples[mistakes.picture]
    drawn = draw_mistakes(open_rgb(sample.path), sample, found, mistakes, data.categories)
    return {
        "name": sample.path.name,
        "wrong": len(mistakes.wrong),
        "missed": len(mistakes.missed),
        "jpeg": _jpeg(drawn),
    }


def _jpeg(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return base64.b64encode(buffer.getvalue()).decode()


def _render(**context: Any) -> str:
    return page_environment("detection.evaluation").get_template("report.html.j2").render(**context)
