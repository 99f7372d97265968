"""What a comparison came to, in memory, as scores.json and as predictions.csv."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detection.classifier.data import ClassifierData
from detection.classifier.scores import (
    AVERAGES,
    Gains,
    McNemar,
    Scores,
    bootstrap_gains,
    confusions_by_picture,
    mcnemar,
    score_predictions,
)
from detection.classifier.settings import AUGMENTED, ORIGINAL, Arm, ClassifierSettings, Job
from detection.pages import ABSENT, write_csv
from detection.proof.statistics import Interval, spread
from generator.foundation.seeds import derive_seed

# Position below the settings' seed; detection/classifier/data.py has the others.
_BOOTSTRAP = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """A finished job. `probabilities`: (N, K) float32 of the test crops; `train_counts`: real crops of each class."""

    job: Job
    probabilities: np.ndarray
    losses: tuple[float, ...]
    validations: tuple[tuple[int, float], ...]
    best_step: int
    train_counts: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArmResult:
    """One arm: the outcome of each seed, and their scores (S, ...); none where it cannot be trained."""

    arm: Arm
    outcomes: tuple[Outcome, ...]
    scores: Scores | None

    def values(self, name: str, label: int | None = None) -> np.ndarray:
        """A score of each seed (S,): `accuracy`, `macro_f1`, a class's `precision`, `recall` or `f1`, or one of
        AVERAGES over the classes, `macro` or `weighted`. A class without crops counts as 0."""
        if self.scores is None:
            return np.zeros(0)
        values = getattr(self.scores, name)
        return values if label is None else np.nan_to_num(values[:, label])

    def mean(self, name: str, label: int | None = None) -> float:
        """Mean over the seeds; NaN without."""
        return float(self.values(name, label).mean()) if self.scores is not None else math.nan

    def spread(self, name: str, label: int | None = None) -> float:
        """Standard deviation over the seeds; NaN for fewer than two."""
        return spread(self.values(name, label))

    def confusion(self) -> np.ndarray:
        """Mean confusion counts (K, K) over the seeds, of which there must be some."""
        assert self.scores is not None
        return self.scores.confusion.mean(0)


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
        return tuple(arm for arm in self.arms if arm.outcomes)

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
        return {
            "headline": self.headline,
            "classes": list(data.classes),
            "crops": {name: side.counts() for name, side in data.sides.items()},
            "real_crops_trained_on": self.real_counts,
            "test_pictures": self.test_pictures,
            "notes": list(data.notes),
            "arms": {arm.arm: _arm_json(arm, data.classes) for arm in self.arms},
            "gain": _gains_json(self.gains, data.classes) if self.gains is not None else None,
            "mcnemar": [dataclasses.asdict(test) for test in self.tests],
        }


def compare(data: ClassifierData, settings: ClassifierSettings, outcomes: Sequence[Outcome]) -> Comparison:
    """Score the outcomes and compare the arms, where both have them."""
    labels, classes = data.test.labels, len(data.classes)
    arms = {}
    for name in (ORIGINAL, AUGMENTED):
        own = tuple(outcome for outcome in outcomes if outcome.job.arm == name)
        confusions = [score_predictions(labels, each.probabilities, classes).confusion for each in own]
        arms[name] = ArmResult(arm=name, outcomes=own, scores=Scores(np.stack(confusions)) if own else None)
    gains, tests = None, list[McNemar]()
    if all(arm.outcomes for arm in arms.values()):
        pictures = [item.picture for item in data.test.items]
        original, augmented = ([each.probabilities.argmax(1) for each in arm.outcomes] for arm in arms.values())
        gains = bootstrap_gains(
            [confusions_by_picture(labels, said, pictures, classes) for said in original],
            [confusions_by_picture(labels, said, pictures, classes) for said in augmented],
            count=settings.bootstrap,
            seed=derive_seed(settings.seed, _BOOTSTRAP),
        )
        tests = [mcnemar(labels, *pair) for pair in zip(original, augmented, strict=True)]
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
    heads = ["arm", "seed", "picture", "x_min", "y_min", "x_max", "y_max", "class", "predicted"]
    rows: list[list[Any]] = [[*heads, *(f"p({name})" for name in classes)]]
    for arm in comparison.trained:
        for outcome in arm.outcomes:
            for item, found in zip(comparison.data.test.items, outcome.probabilities, strict=True):
                said = [classes[item.label], classes[int(found.argmax())]]
                chances = [f"{value:.6f}" for value in found]
                rows.append([arm.arm, outcome.job.number, item.picture, *item.box_xyxy, *said, *chances])
    write_csv(path, rows)


def show_gain(gain: Interval | None) -> str:
    """+0.123 [+0.050, +0.190], the value alone of one seed, or a dash."""
    if gain is None or math.isnan(gain.value):
        return ABSENT
    if math.isnan(gain.low):
        return f"{gain.value:+.3f}"
    return f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


def _arm_json(arm: ArmResult, classes: Sequence[str]) -> dict[str, Any]:
    if not arm.outcomes:
        return {"trained": False, "reason": "fewer than two classes have crops"}

    def average(name: str, label: int | None = None) -> dict[str, float | None]:
        values = {"mean": arm.mean(name, label), "spread": arm.spread(name, label)}
        return {key: None if math.isnan(value) else value for key, value in values.items()}

    def of_seed(number: int, outcome: Outcome) -> dict[str, Any]:
        def at(name: str, label: int | None = None) -> float:
            return float(arm.values(name, label)[number])

        return {
            "seed": outcome.job.number,
            "best_step": outcome.best_step,
            "accuracy": at("accuracy"),
            **{kind: {score: at(kind, k) for k, score in enumerate(AVERAGES)} for kind in ("macro", "weighted")},
            "classes": {name: {score: at(score, label) for score in AVERAGES} for label, name in enumerate(classes)},
            "confusion": arm.scores.confusion[number].tolist() if arm.scores is not None else [],
        }

    return {
        "trained": True,
        "accuracy": average("accuracy"),
        "macro_f1": average("macro_f1"),
        "classes": {name: {score: average(score, label) for score in AVERAGES} for label, name in enumerate(classes)},
        "seeds": [of_seed(number, outcome) for number, outcome in enumerate(arm.outcomes)],
    }


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
