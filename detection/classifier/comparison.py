"""What a comparison came to, in memory, as scores.json and as predictions.csv."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detection.classifier.data import ClassifierData
from detection.classifier.jobs import Outcome
from detection.classifier.scores import Scores, confusions_by_picture
from detection.classifier.settings import AUGMENTED, ORIGINAL, Arm, ClassifierSettings
from detection.classifier.statistics import Gains, McNemar, bootstrap_gains, mcnemar
from detection.proof.statistics import Interval
from generator.foundation.seeds import derive_seed
from generator.foundation.storage import write_text

# Position below the settings' seed; detection/classifier/data.py has the others.
_BOOTSTRAP = 4
AVERAGES = ("precision", "recall", "f1")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArmResult:
    """One arm: the outcome and the scores of each seed; none where it cannot be trained."""

    arm: Arm
    outcomes: tuple[Outcome, ...]
    scores: tuple[Scores, ...]

    def mean(self, name: str, label: int | None = None) -> float:
        """Mean over the seeds of `accuracy`, `macro_f1`, or of a class's `precision`, `recall` or `f1`; NaN without."""
        return float(np.mean(self._values(name, label))) if self.scores else math.nan

    def spread(self, name: str, label: int | None = None) -> float:
        """Standard deviation over the seeds; NaN for fewer than two."""
        return float(np.std(self._values(name, label), ddof=1)) if len(self.scores) > 1 else math.nan

    def confusion(self) -> np.ndarray:
        """Mean confusion counts (K, K) over the seeds."""
        return np.mean([scores.confusion for scores in self.scores], axis=0)

    def _values(self, name: str, label: int | None) -> list[float]:
        values = [getattr(scores, name) for scores in self.scores]
        return [float(value if label is None else value[label]) for value in values]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Both arms on the same test crops. `gains`, and `tests` of each seed, are there when both could be trained."""

    data: ClassifierData
    settings: ClassifierSettings
    original: ArmResult
    augmented: ArmResult | None
    gains: Gains | None
    tests: tuple[McNemar, ...]

    @property
    def arms(self) -> tuple[ArmResult, ...]:
        """The arms that were asked for."""
        return (self.original,) if self.augmented is None else (self.original, self.augmented)

    @property
    def trained(self) -> tuple[ArmResult, ...]:
        """The arms that have results."""
        return tuple(arm for arm in self.arms if arm.scores)

    @property
    def real_counts(self) -> dict[str, int]:
        """Real training crops of each class that every seed had."""
        return self.trained[-1].outcomes[0].train_counts

    @property
    def test_pictures(self) -> int:
        """Pictures that the test crops come from."""
        return len({item.picture for item in self.data.test.items})

    @property
    def headline(self) -> str:
        """The answer in a sentence."""
        if self.augmented is None:
            return f"Real crops alone: macro F1 {self.original.mean('macro_f1'):.3f}; no painted crops to compare with."
        after = f"with painted crops macro F1 is {self.augmented.mean('macro_f1'):.3f}"
        if self.gains is None:
            return f"There are too few real crops to train on them alone; {after}."
        gain = self.gains.macro_f1
        words = {1: "Painted crops help", -1: "Painted crops do harm"}.get(gain.sign, "No gain is shown: ")
        if not gain.sign:
            words += "one seed has no interval" if math.isnan(gain.low) else "the interval holds 0"
        before = self.original.mean("macro_f1")
        return f"{words}: macro F1 {before:.3f} -> {self.augmented.mean('macro_f1'):.3f}, {show_gain(gain)}."

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures and predictions."""
        data = self.data
        sides = {"train": data.train, "synthetic": data.synthetic, "validation": data.validation, "test": data.test}
        return {
            "headline": self.headline,
            "classes": list(data.classes),
            "crops": {name: side.counts() for name, side in sides.items() if side is not None},
            "real_crops_trained_on": self.real_counts,
            "test_pictures": self.test_pictures,
            "notes": list(data.notes),
            "arms": {arm.arm: self._arm_json(arm) for arm in self.arms},
            "gain": _gains_json(self.gains, data.classes) if self.gains is not None else None,
            "mcnemar": [dataclasses.asdict(test) for test in self.tests],
        }

    def _arm_json(self, arm: ArmResult) -> dict[str, Any]:
        if not arm.scores:
            return {"trained": False, "reason": "fewer than two classes have crops"}
        return {
            "trained": True,
            "accuracy": _mean_and_spread(arm, "accuracy"),
            "macro_f1": _mean_and_spread(arm, "macro_f1"),
            "classes": {
                name: {score: _mean_and_spread(arm, score, label) for score in AVERAGES}
                for label, name in enumerate(self.data.classes)
            },
            "seeds": [
                {
                    "seed": outcome.job.number,
                    "best_step": outcome.best_step,
                    "accuracy": scores.accuracy,
                    "macro": dict(zip(AVERAGES, scores.macro, strict=True)),
                    "weighted": dict(zip(AVERAGES, scores.weighted, strict=True)),
                    "classes": {
                        name: {score: float(getattr(scores, score)[label]) for score in AVERAGES}
                        for label, name in enumerate(self.data.classes)
                    },
                    "confusion": scores.confusion.tolist(),
                }
                for outcome, scores in zip(arm.outcomes, arm.scores, strict=True)
            ],
        }


def compare(data: ClassifierData, settings: ClassifierSettings, outcomes: Sequence[Outcome]) -> Comparison:
    """Score the outcomes and compare the arms, where both have them."""
    arms = {
        arm: ArmResult(
            arm=arm,
            outcomes=tuple(found),
            scores=tuple(outcome.scores(data.test) for outcome in found),
        )
        for arm in (ORIGINAL, AUGMENTED)
        for found in [[outcome for outcome in outcomes if outcome.job.arm == arm]]
    }
    gains, tests = None, list[McNemar]()
    if all(arm.scores for arm in arms.values()):
        labels = data.test.labels
        pictures = [item.picture for item in data.test.items]
        said = {name: [each.probabilities.argmax(1) for each in arm.outcomes] for name, arm in arms.items()}
        counts = {
            name: [confusions_by_picture(labels, each, pictures, len(data.classes)) for each in predicted]
            for name, predicted in said.items()
        }
        seed = derive_seed(settings.seed, _BOOTSTRAP)
        gains = bootstrap_gains(counts[ORIGINAL], counts[AUGMENTED], count=settings.bootstrap, seed=seed)
        tests = [mcnemar(labels, *pair) for pair in zip(said[ORIGINAL], said[AUGMENTED], strict=True)]
    return Comparison(
        data=data,
        settings=settings,
        original=arms[ORIGINAL],
        augmented=arms[AUGMENTED] if data.synthetic is not None else None,
        gains=gains,
        tests=tuple(tests),
    )


def write_predictions(comparison: Comparison, path: Path) -> None:
    """Write what every model said of every test crop, as CSV: all scores and intervals can be computed from it."""
    classes = comparison.data.classes
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    box = ("x_min", "y_min", "x_max", "y_max")
    rows.writerow(["arm", "seed", "picture", *box, "class", "predicted", *(f"p({name})" for name in classes)])
    for arm in comparison.trained:
        for outcome in arm.outcomes:
            for item, found in zip(comparison.data.test.items, outcome.probabilities, strict=True):
                said = [classes[item.label], classes[int(found.argmax())]]
                chances = [f"{value:.6f}" for value in found]
                rows.writerow([arm.arm, outcome.job.number, item.picture, *item.box_xyxy, *said, *chances])
    write_text(path, text.getvalue())


def show_gain(gain: Interval) -> str:
    """+0.123 [+0.050, +0.190], the value alone of one seed, or a dash."""
    if math.isnan(gain.value):
        return "–"
    if math.isnan(gain.low):
        return f"{gain.value:+.3f}"
    return f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


def _mean_and_spread(arm: ArmResult, name: str, label: int | None = None) -> dict[str, float | None]:
    values = {"mean": arm.mean(name, label), "spread": arm.spread(name, label)}
    return {key: None if math.isnan(value) else value for key, value in values.items()}


def _gains_json(gains: Gains, classes: Sequence[str]) -> dict[str, Any]:
    def plain(gain: Interval) -> dict[str, Any] | None:
        if math.isnan(gain.value):
            return None
        ends = (None, None) if math.isnan(gain.low) else (gain.low, gain.high)
        words = {1: "better", -1: "worse", 0: "no clear difference"}
        return {"value": gain.value, "low": ends[0], "high": ends[1], "verdict": words[gain.sign]}

    return {
        "accuracy": plain(gains.accuracy),
        "macro_f1": plain(gains.macro_f1),
        "recall": {name: plain(gain) for name, gain in zip(classes, gains.recall, strict=True)},
        "f1": {name: plain(gain) for name, gain in zip(classes, gains.f1, strict=True)},
    }
