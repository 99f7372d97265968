"""Are the labels right? A detector that was trained on real photos only looks at painted data sets.

    python -m benchmarks.label_validity --judge runs/judge --real data/bccd-coco:test DATASET ...

`--judge` is a run of `boxpaint train detector` on real pictures (never on ours), `--real` labelled real pictures that
it did not see: they set the score from which on its boxes count (best F1). For each data set: how many labels it
confirms at IoU 0.5, what it finds beside them, how its boxes lie to the labels, and sizes next to real ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from boxpaint.detect_inputs import parse_renames
from detection.datasets.read import open_rgb
from detection.datasets.types import DetectionDataset, Sample
from detection.detectors.registry import load_detector
from detection.detectors.types import Detections, Detector
from detection.evaluation.mistakes import best_working_point, match_pictures
from detection.inference.drawing import pixel_box
from detection.inference.finding import find_objects
from detection.runs.folder import find_model
from detection.runs.sources import match_sources, read_source
from generator.dataset.pictures import draw_boxes, tile

SHOWN, SHOWN_PX, SURROUNDINGS = 20, 200, 0.6
COLOURS = {"label": "#e6194b", "judge": "#3cb44b"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Failure:
    """A label that was not confirmed, or an object found beside all labels; `box_xyxy` is what is shown."""

    sample: Sample
    box_xyxy: np.ndarray
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What was found of one category: `iou` (N,) of each label with the best box of its class, 0 without one."""

    iou: np.ndarray
    extra: int
    sides: np.ndarray
    failures: tuple[Failure, ...]

    @property
    def confirmed(self) -> float:
        """Share of the labels with a box at IoU 0.5."""
        return float((self.iou >= 0.5).mean())


def iou_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of boxes (N, 4) and (M, 4) xyxy: (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b)]
    iou: np.ndarray = shared / (areas[0][:, None] + areas[1][None, :] - shared)
    return iou


def judge_set(data: DetectionDataset, found: Sequence[Detections]) -> list[Judged]:
    """Compare labels with what a judge found, for each category."""
    judged = []
    for number, name in enumerate(data.categories, start=1):
        overlaps, sides, failures, extra = [], [], [], 0
        for sample, answer in zip(data.samples, found, strict=True):
            own, boxes = sample.boxes_xyxy[sample.labels == number], answer.boxes_xyxy[answer.labels == number]
            iou = iou_matrix(own, boxes)
            best = iou.max(axis=1, initial=0.0)
            overlaps.append(best)
            whole = (own[:, 2:] - own[:, :2]) / np.sqrt(sample.width * sample.height)
            sides.append(np.sqrt(np.prod(whole, axis=1)))
            failures += [
                Failure(sample=sample, box_xyxy=box, text=f"{name}: not confirmed, IoU {value:.2f}")
                for box, value in zip(own, best, strict=True)
                if value < 0.5
            ]
            beside = iou.max(axis=0, initial=0.0) < 0.5 if len(own) else np.ones(len(boxes), bool)
            # A box that lies badly on a label is that label's failure, not one more object.
            beside &= iou.max(axis=0, initial=0.0) < 0.1 if len(own) else True
            extra += int(beside.sum())
            failures += [Failure(sample=sample, box_xyxy=box, text=f"{name}: not labelled") for box in boxes[beside]]
        judged.append(
            Judged(iou=np.concatenate(overlaps), extra=extra, sides=np.concatenate(sides), failures=tuple(failures))
        )
    return judged


def draw_failures(failures: Sequence[Failure], found: dict[Path, Detections]) -> Image.Image:
    """Show failures with their surroundings: labels red, the judge's boxes green."""
    shown = []
    for failure in failures:
        sample, answer = failure.sample, found[failure.sample.path]
        boxes = [("label", pixel_box(box)) for box in sample.boxes_xyxy]
        boxes += [("judge", pixel_box(box)) for box in answer.boxes_xyxy]
        picture = draw_boxes(open_rgb(sample.path), boxes, COLOURS)
        box = pixel_box(failure.box_xyxy)
        reach = max(24, round(SURROUNDINGS * max(box.width, box.height)))
        x, y = (box.x_min + box.x_max) // 2, (box.y_min + box.y_max) // 2
        half = max(box.width, box.height) // 2 + reach
        shown.append(picture.crop((x - half, y - half, x + half, y + half)).resize((SHOWN_PX, SHOWN_PX)))
    return tile(shown, columns=5, cell_width=SHOWN_PX)


def judging_score(detector: Detector, real: DetectionDataset) -> float:
    """The score from which on a judge's boxes are best on real pictures. Raises SystemExit when none is right."""
    found = find_objects(detector, real)
    point = best_working_point(real, found, match_pictures(real, found))
    if point is None:
        raise SystemExit("the judge finds nothing right on the real pictures")
    print(f"on real pictures: precision {point.precision:.3f}, recall {point.recall:.3f} from {point.min_score:.2f} on")
    return point.min_score


def main() -> None:
    """Measure and print the table; pictures of failures go beside each data set's name into --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--real", required=True)
    parser.add_argument("--rename", action="append", default=[])
    parser.add_argument("--out", type=Path, default=Path("runs/label_validity"))
    arguments = parser.parse_args()
    detector = load_detector(find_model(arguments.judge), torch.device("cpu"))
    (real,) = match_sources(
        [read_source(arguments.real, "scored")], detector.categories, parse_renames(arguments.rename)
    )
    score = judging_score(detector, real.data)
    table = Table(title="painted labels, looked at by a detector that saw real photos only")
    for column in ("data set", "class", "labels", "confirmed", "beside", "median IoU", "side", "real side"):
        table.add_column(column)
    arguments.out.mkdir(parents=True, exist_ok=True)
    real_judged = judge_set(real.data, [each.confident(score) for each in find_objects(detector, real.data)])
    sets = [("real", real_judged, None, None)]
    for name in arguments.datasets:
        (source,) = match_sources([read_source(name, "synthetic")], detector.categories, {})
        found = [each.confident(score) for each in find_objects(detector, source.data)]
        sets.append((name, judge_set(source.data, found), source.data, found))
    for name, judged, data, found in sets:
        for category, each, of_real in zip(detector.categories, judged, real_judged, strict=True):
            table.add_row(
                name,
                category,
                str(len(each.iou)),
                f"{each.confirmed:.1%}",
                f"{each.extra / len(each.iou):.1%}",
                f"{np.median(each.iou):.3f}",
                f"{np.median(each.sides):.4f}",
                f"{np.median(of_real.sides):.4f}",
            )
        labels, extra = sum(len(each.iou) for each in judged), sum(each.extra for each in judged)
        confirmed = sum(int((each.iou >= 0.5).sum()) for each in judged)
        table.add_row(name, "all", str(labels), f"{confirmed / labels:.1%}", f"{extra / labels:.1%}", "", "", "")
        if data is not None and found is not None:
            failures = [failure for each in judged for failure in each.failures]
            step = max(1, len(failures) // SHOWN)
            by_path = {sample.path: answer for sample, answer in zip(data.samples, found, strict=True)}
            chosen = failures[::step][:SHOWN]
            if chosen:
                draw_failures(chosen, by_path).save(arguments.out / f"{Path(name).name}.png")
            for number, failure in enumerate(chosen, start=1):
                print(f"{name} {number}: {failure.sample.path.name} {failure.text}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
