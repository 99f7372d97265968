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

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from detection.datasets.read import open_rgb
from detection.datasets.types import DetectionDataset, Detections, Sample
from detection.evaluation.coco_metrics import IOU_THRESHOLDS, RECALL_THRESHOLDS, SetScores, score_sets
from detection.evaluation.mistakes import (
    PictureMistakes,
    WorkingPoint,
    best_working_point,
    find_mistakes,
    match_pictures,
)
from detection.inference.drawing import enlarged, named_boxes, pixel_box
from detection.pages import PLOT_STYLE, to_png
from generator.dataset.pictures import draw_boxes
from generator.foundation.run_folder import EVALUATION
from generator.foundation.storage import write_bytes, write_text
from generator.foundation.version import __version__
from generator.report import page_environment

CURVES, PAGE = "pr_curves.png", "report.html"
# Okabe and Ito 2008: told apart by colour-blind eyes as well.
RIGHT, WRONG, MISSED = "#009E73", "#D55E00", "#56B4E9"
# Where nothing is right anywhere, there is no best score to take boxes from.
_MIN_SCORE = 0.3
_JPEG_QUALITY = 88
_SHOWN_IOUS = (0.5, 0.75)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """What a detector is worth on a data set; `mistakes` from the working point on, the worst picture first."""

    scores: SetScores
    working_point: WorkingPoint | None
    mistakes: tuple[PictureMistakes, ...]

    @property
    def min_score(self) -> float:
        """What boxes are taken from."""
        return _min_score(self.working_point)


def evaluate_found(data: DetectionDataset, found: Sequence[Detections]) -> Evaluation:
    """Score what was found in each picture of a data set, and find its mistakes."""
    matches = match_pictures(data, found)
    point = best_working_point(data, found, matches)
    return Evaluation(
        scores=score_sets(data, found),
        working_point=point,
        mistakes=tuple(find_mistakes(data, found, matches, min_score=_min_score(point))),
    )


def _min_score(point: WorkingPoint | None) -> float:
    return point.min_score if point else _MIN_SCORE


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
    point = evaluation.working_point
    content = {
        "boxpaint": __version__,
        **about,
        "scores": evaluation.scores.to_json(),
        "working_point": dataclasses.asdict(point) if point else None,
    }
    curves = draw_precision_recall(evaluation.scores)
    shown = [item for item in evaluation.mistakes if item.count][:worst]
    page = (
        page_environment("detection.inference")
        .get_template("report.html.j2")
        .render(
            about={name: str(value) for name, value in about.items()},
            scores=evaluation.scores,
            point=point,
            min_score=evaluation.min_score,
            curves=base64.b64encode(curves).decode(),
            pictures=[_shown(item, data, found[item.picture]) for item in shown],
            faulty=sum(item.count > 0 for item in evaluation.mistakes),
            colours={"right": RIGHT, "wrong": WRONG, "missed": MISSED},
            version=__version__,
        )
    )
    # scores.json says whose folder it is.
    EVALUATION.begin(folder, content)
    write_bytes(folder / CURVES, curves)
    write_text(folder / PAGE, page)
    return folder / PAGE


def draw_mistakes(
    picture: Image.Image, sample: Sample, found: Detections, mistakes: PictureMistakes, categories: Sequence[str]
) -> Image.Image:
    """Draw missed labels, right and wrong detections in their three colours on a copy of the picture; it is enlarged by
    a whole number where it is small."""
    drawn, scale = enlarged(picture)
    detected = named_boxes(found, categories, scale)
    missed = [
        (f"missed {categories[int(sample.labels[number]) - 1]}", pixel_box(scale * sample.boxes_xyxy[number]))
        for number in mistakes.missed
    ]
    for boxes, colour in (
        ([detected[number] for number in mistakes.right], RIGHT),
        ([detected[number] for number in mistakes.wrong], WRONG),
        (missed, MISSED),
    ):
        drawn = draw_boxes(drawn, boxes, {text: colour for text, _ in boxes}, names=True)
    return drawn


def draw_precision_recall(scores: SetScores) -> bytes:
    """Draw precision over recall of every category with labels, at IoU 0.50 and 0.75 side by side, as a PNG file."""
    with mpl.rc_context(PLOT_STYLE):
        figure = Figure(figsize=(4.6 * len(_SHOWN_IOUS), 4.0), dpi=150, layout="constrained")
        for axes, iou in zip(figure.subplots(1, len(_SHOWN_IOUS), sharey=True), _SHOWN_IOUS, strict=True):
            for number, (name, category) in enumerate(scores.of_category.items()):
                precision = scores.precision[IOU_THRESHOLDS.index(iou), :, number]
                if category.objects:
                    axes.plot(RECALL_THRESHOLDS, precision, label=f"{name}: AP {precision.mean():.3f}")
            axes.set_title(f"IoU {iou:.2f}")
            axes.set_xlabel("recall")
            axes.set_xlim(0, 1.01)
            axes.set_ylim(0, 1.03)
            axes.grid(alpha=0.3)
            if any(category.objects for category in scores.of_category.values()):
                axes.legend(loc="lower left")
        figure.axes[0].set_ylabel("precision")
        return to_png(figure)


def _shown(mistakes: PictureMistakes, data: DetectionDataset, found: Detections) -> dict[str, Any]:
    sample = data.samples[mistakes.picture]
    drawn = draw_mistakes(open_rgb(sample.path), sample, found, mistakes, data.categories)
    buffer = io.BytesIO()
    drawn.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return {
        "name": sample.path.name,
        "wrong": len(mistakes.wrong),
        "missed": len(mistakes.missed),
        "jpeg": base64.b64encode(buffer.getvalue()).decode(),
    }
