"""The numbers of an experiment as rows: for CSV files and for the card."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from detection.experiment.results import measured_on
from detection.experiment.run import Outcome
from detection.experiment.statistics import Cell
from detection.experiment.verdict import ARM_NAMES, arm_name, points, range_of, with_images
from detection.intervals import Interval
from generator.foundation.storage import write_text

Rows = list[list[str]]
_ABSENT = "–"


def job_rows(outcome: Outcome) -> Rows:
    """A row for each training that was scored, heads first; AP in [0, 1]; steps and seconds with those of the job
    that it starts from, which several rows may share."""
    config = outcome.materials.config
    categories = config.categories
    heads = ["arm", "real_images", "painted_images", "measured_on", "seed", "steps", "ap", "ap50", "ap75"]
    rows = [[*heads, *(f"ap {name}" for name in categories), "last_loss", "seconds", "threads", "device", "folder"]]
    for result in outcome.results:
        job, scores, report = result.job, result.scores, result.report
        figures = [scores["ap"], scores["ap50"], scores["ap75"]]
        figures += [scores["categories"][name]["ap"] for name in categories]
        rows.append(
            [
                *map(str, (job.kind, job.number, job.painted, measured_on(job, config), job.subset, config.fit.steps)),
                *("" if value is None else f"{value:.5f}" for value in figures),
                f"{report['losses'][-1]:.5f}",
                f"{result.seconds:.1f}",
                *(str(report["made_on"][key]) for key in ("threads", "device")),
                result.folder.path.name,
            ]
        )
    return rows


def summary_rows(outcome: Outcome) -> Rows:
    """A row for each arm and number of real images, heads first; AP in [0, 1]."""
    categories = outcome.materials.config.categories
    gains = {(gain.arm, gain.number): gain for gain in outcome.gains}
    heads = ["arm", "real_images", "painted_images", "measured_on", "trainings", "ap_mean", "ap_sd", "ap50_mean"]
    rows = [[*heads, *(f"ap_mean {name}" for name in categories), "best_without_painted", "gain", "low", "high"]]
    for cell in outcome.cells:
        gain = gains.get((cell.arm, cell.number))
        compared = [gain.baseline, *_decimals(gain.whole.value, gain.whole.low, gain.whole.high)] if gain else [""] * 4
        rows.append(
            [
                cell.arm,
                *(str(value) for value in (cell.number, cell.painted, cell.measured, len(cell.ap))),
                *_decimals(cell.mean, cell.spread, float(cell.ap50.mean()), *cell.ap_of_category.mean(axis=0).tolist()),
                *compared,
            ]
        )
    return rows


def arm_table(outcome: Outcome) -> Rows:
    """mAP in points, an arm a row, a number of real images a column: mean, spread."""
    numbers = sorted({cell.number for cell in outcome.cells})
    total = len(outcome.materials.train)
    rows = [["arm", *(f"all {total} real" if number == total else f"{number} real" for number in numbers)]]
    for arm in outcome.materials.config.arms:
        cells = {cell.number: cell for cell in outcome.cells if cell.arm == arm}
        measured = max((cell.measured for cell in cells.values()), default=0)
        rows.append([arm_name(arm, measured), *(_mean_and_spread(cells.get(number)) for number in numbers)])
    return rows


def category_table(outcome: Outcome) -> Rows:
    """AP of each category in points, and AP at 0.50 over all, for each arm and number of real images."""
    categories = outcome.materials.config.categories
    rows = [["real images", "arm", "mAP50", *categories]]
    for cell in sorted(outcome.cells, key=lambda cell: cell.number):
        means = [points(float(value)) for value in cell.ap_of_category.mean(axis=0)]
        rows.append([str(cell.number), arm_name(cell.arm, cell.measured), points(float(cell.ap50.mean())), *means])
    return rows


def gain_table(outcome: Outcome) -> Rows:
    """Gain in points over the best arm without painted images, of all categories and of each."""
    categories = outcome.materials.config.categories
    total = len(outcome.materials.train)
    rows = [["", "arm", "best without", "gain in mAP", *(f"gain in {name}" for name in categories)]]
    for gain in outcome.gains:
        of_category = [_gain(item) for item in gain.of_category]
        where = with_images(gain.number, total)
        rows.append([where, ARM_NAMES[gain.arm], ARM_NAMES[gain.baseline], _gain(gain.whole), *of_category])
    return rows


def curve_table(outcome: Outcome) -> Rows:
    """The value curve: mAP and the gain of each step, with each category."""
    curve, categories = outcome.curve, outcome.materials.config.categories
    if curve is None:
        return []
    rows = [["painted images", "mAP", "step", *(f"step in {name}" for name in categories)]]
    for cell, step in zip(curve.points, (None, *curve.steps), strict=True):
        changes = [_gain(step.whole), *map(_gain, step.of_category)] if step else [_ABSENT] * (1 + len(categories))
        rows.append([str(cell.painted), _mean_and_spread(cell), *changes])
    return rows


def write_csv(path: Path, rows: Rows) -> None:
    """Write rows as CSV (UTF-8), whole or not at all. Raises StorageError."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


def _mean_and_spread(cell: Cell | None) -> str:
    if cell is None:
        return _ABSENT
    spread = f" ± {points(cell.spread)}" if not math.isnan(cell.spread) else ""
    return f"{points(cell.mean)}{spread} ({len(cell.ap)})"


def _gain(interval: Interval) -> str:
    text = f"{points(interval.value, signed=True)} {range_of(interval)}"
    return f"**{text}**" if interval.sign else text


def _decimals(*values: float) -> list[str]:
    return ["" if math.isnan(value) else f"{value:.5f}" for value in values]
