"""Are the labels right? A detector that was trained on real photos only looks at painted data sets.

    python -m benchmarks.label_validity --judge runs/judge --real data/bccd-coco:test DATASET ...

`--judge` is a run of `boxpaint train detector` on real pictures (never on ours), `--real` labelled real pictures that
it did not see: they set the score from which on its boxes count (best F1). For each data set: how many labels it
confirms at IoU 0.5, what it finds beside them, how its boxes lie to the labels, and sizes next to real ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.ops import box_iou

from benchmarks import Results, make_parser
from boxpaint.cli.options import parse_renames
from detection.datasets.read import open_rgb
from detection.datasets.sources import match_sources, read_source
from detection.datasets.types import DetectionDataset, Detections, Sample
from detection.detectors.registry import load_detector
from detection.detectors.types import Detector
from detection.evaluation.mistakes import best_working_point, match_pictures
from detection.inference.drawing import pixel_box
from detection.inference.finding import find_objects
from detection.runs.folder import find_model
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


def judge_set(data: DetectionDataset, found: Sequence[Detections]) -> list[Judged]:
    """Compare labels with what a judge found, for each category."""
    judged = []
    for number, name in enumerate(data.categories, start=1):
        overlaps, sides, failures, extra = [], [], [], 0
        for sample, answer in zip(data.samples, found, strict=True):
            own, boxes = sample.boxes_xyxy[sample.labels == number], answer.boxes_xyxy[answer.labels == number]
            iou = box_iou(torch.from_numpy(own), torch.from_numpy(boxes)).numpy()
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
    parser = make_parser(__doc__)
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
    arguments.out.mkdir(parents=True, exist_ok=True)

    def look(data: DetectionDataset) -> tuple[list[Detections], list[Judged]]:
        found = [each.confident(score) for each in find_objects(detector, data)]
        return found, judge_set(data, found)

    _, of_real = look(real.data)
    columns = ("data set", "class", "labels", "confirmed", "beside", "median IoU", "side", "real side")
    with Results("painted labels, looked at by a detector that saw real photos only", *columns) as table:
        add_rows(table, "real", detector.categories, of_real, of_real)
        for name in arguments.datasets:
            (source,) = match_sources([read_source(name, "synthetic")], detector.categories, {})
            found, judged = look(source.data)
            add_rows(table, name, detector.categories, judged, of_real)
            failures = [failure for each in judged for failure in each.failures]
            shown = failures[:: max(1, len(failures) // SHOWN)][:SHOWN]
            for number, failure in enumerate(shown, start=1):
                print(f"{name} {number}: {failure.sample.path.name} {failure.text}")
            if shown:
                by_path = {sample.path: answer for sample, answer in zip(source.data.samples, found, strict=True)}
                draw_failures(shown, by_path).save(arguments.out / f"{Path(name).name}.png")


def add_rows(
    table: Results, name: str, categories: Sequence[str], judged: Sequence[Judged], of_real: Sequence[Judged]
) -> None:
    """A row for each class of a data set, and one for all."""
    for category, each, real in zip(categories, judged, of_real, strict=True):
        figures = (f"{np.median(each.iou):.3f}", f"{np.median(each.sides):.4f}", f"{np.median(real.sides):.4f}")
        table.add(name, category, *_shares(each.iou, each.extra), *figures)
    table.add(name, "all", *_shares(np.concatenate([each.iou for each in judged]), sum(each.extra for each in judged)))


def _shares(iou: np.ndarray, extra: int) -> tuple[str, ...]:
    return str(len(iou)), f"{(iou >= 0.5).mean():.1%}", f"{extra / len(iou):.1%}"


if __name__ == "__main__":
    main()
