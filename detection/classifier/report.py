"""The report of a comparison: report.html, which stands alone, report.md and its pictures."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detection.classifier.cases import draw_cases
from detection.classifier.comparison import AVERAGES, ArmResult, Comparison, show_gain
from detection.classifier.jobs import Outcome
from detection.classifier.models import Classifier
from detection.classifier.plots import draw_confusions, draw_curves, draw_gains
from detection.classifier.settings import Arm
from detection.proof.statistics import Interval
from generator.foundation.storage import write_bytes, write_text
from generator.foundation.version import __version__
from generator.report import page_environment

HTML, MARKDOWN = "report.html", "report.md"
CONFUSIONS, CURVES, GAINS = "confusion.png", "curves.png", "gains.png"
GRAD_CAM: dict[Arm, str] = {"original": "grad_cam_original.png", "augmented": "grad_cam_augmented.png"}
PICTURES = (CONFUSIONS, CURVES, GAINS, *GRAD_CAM.values())


def write_report(
    out: Path,
    comparison: Comparison,
    content: Mapping[str, Any],
    chosen: Mapping[Arm, tuple[Outcome, Classifier]],
) -> None:
    """Write the pictures and both pages. `content` is what scores.json holds; `chosen` are the models whose cases are
    shown. Raises StorageError."""
    pictures = {CONFUSIONS: draw_confusions(comparison), CURVES: draw_curves(comparison)}
    if comparison.gains is not None:
        pictures[GAINS] = draw_gains(comparison)
    cases = []
    for arm, (outcome, model) in chosen.items():
        name = GRAD_CAM[arm]
        cases.append(name)
        title = f"{arm}, seed {outcome.job.number}: right at the left, wrong at the right; what spoke for the answer"
        margin = comparison.settings.margin
        pictures[name] = draw_cases(model, comparison.data.test, outcome.probabilities, margin=margin, title=title)
    for name, data in pictures.items():
        write_bytes(out / name, data)
    context: dict[str, Any] = {
        "comparison": comparison,
        "content": content,
        "settings": comparison.settings,
        "rows": _rows(comparison),
        "class_rows": _class_rows(comparison),
        "averages": AVERAGES,
        "seed_rows": _seed_rows(comparison),
        "cases": cases,
        "images": {name: base64.b64encode(data).decode() for name, data in pictures.items()},
        "version": __version__,
    }
    environment = page_environment("detection.classifier")
    for name in (HTML, MARKDOWN):
        write_text(out / name, environment.get_template(f"{name}.j2").render(**context))


def _rows(comparison: Comparison) -> list[list[str]]:
    """Score, its mean and spread in each arm, and the gain where it has an interval."""
    gains = comparison.gains
    rows = [
        ["accuracy", *(_mean_of(arm, "accuracy") for arm in comparison.arms), _gain(gains.accuracy if gains else None)]
    ]
    for kind in ("macro", "weighted"):
        for number, score in enumerate(AVERAGES):
            gain = gains.macro_f1 if gains and (kind, score) == ("macro", "f1") else None
            rows.append([f"{kind} {score}", *(_mean_of(arm, kind, number) for arm in comparison.arms), _gain(gain)])
    return rows


def _class_rows(comparison: Comparison) -> list[list[str]]:
    """Class, its crops to train and to test on, scores in each arm, and gains of recall and F1."""
    gains, tested = comparison.gains, comparison.data.test.counts()
    rows = []
    for label, name in enumerate(comparison.data.classes):
        scores = [_mean_of(arm, score, label) for score in AVERAGES for arm in comparison.arms]
        gained = [
            _gain(each[label] if each else None) for each in ((gains.recall, gains.f1) if gains else (None, None))
        ]
        rows.append([name, str(comparison.real_counts[name]), str(tested[name]), *scores, *gained])
    return rows


def _seed_rows(comparison: Comparison) -> list[list[str]]:
    """Seed, macro F1 of each arm, crops that only one arm got right, and McNemar's p."""
    rows = []
    for number in range(comparison.settings.seeds):
        f1 = [f"{arm.scores[number].macro_f1:.3f}" if arm.scores else "–" for arm in comparison.arms]
        test = comparison.tests[number] if comparison.tests else None
        tested = [str(test.only_original), str(test.only_augmented), f"{test.p_value:.2g}"] if test else ["–"] * 3
        rows.append([str(number), *f1, *tested])
    return rows


def _gain(gain: Interval | None) -> str:
    return show_gain(gain) if gain is not None else "–"


def _mean_of(arm: ArmResult, name: str, label: int | None = None) -> str:
    """Mean and spread over the seeds, such as "0.812 ± 0.031"."""
    mean, spread = arm.mean(name, label), arm.spread(name, label)
    if math.isnan(mean):
        return "–"
    return f"{mean:.3f}" if math.isnan(spread) else f"{mean:.3f} ± {spread:.3f}"
