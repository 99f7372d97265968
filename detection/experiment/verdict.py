"""What came out, in plain words. Pure functions of the numbers; the first line never says more than they do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from detection.experiment.config import Arm, ValueCurveConfig
from detection.experiment.results import Cell, Gain, gain_of
from detection.proof.statistics import CONFIDENCE, Interval

MIN_SUBSETS = 3
"""Fewer trainings carry no claim: two have t = 12.7, and one has no spread at all."""
# Steps in a row that show nothing before the curve ends: one alone may be bad luck.
_PATIENCE = 2


def arm_name(arm: Arm, measured: int) -> str:
    """The name of an arm in a table; of one that counts as without real pictures, how many its boxes know."""
    return f"{arm.title} on {measured} real" if arm.traits.measures == "fewest" else arm.title


def points(value: float, *, signed: bool = False) -> str:
    """AP in points of 100: 0.0712 is 7.1."""
    return f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"


def range_of(interval: Interval) -> str:
    """The ends of an interval in points."""
    if math.isnan(interval.low):
        return "[no interval]"
    return f"[{points(interval.low)}, {points(interval.high)}]"


def verdict(gains: Sequence[Gain], *, photos: int, total: int) -> str:
    """One sentence about the claimed arm's gains, by number of real pictures; `total` is all there are.

    It begins with "No gain" or "No claim" unless some interval lies above zero, and names every number of pictures, so
    that what was lost is not passed over. The more numbers there are, the wider their intervals, so that all of them
    together are right in 95 % of experiments (Bonferroni). A number with fewer than three subsets is not judged.
    """
    if not gains:
        return "No verdict: no arm with painted pictures was compared with one without."
    judged = [gain for gain in gains if gain.whole.subsets >= MIN_SUBSETS]
    unjudged = [gain for gain in gains if gain.whole.subsets < MIN_SUBSETS]
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(judged))
    found = [(gain, gain.whole.at(confidence)) for gain in judged]
    raised, lowered, unclear = ([each for each in found if each[1].sign == sign] for sign in (1, -1, 0))
    where = f"mAP 0.50:0.95 on {photos} unseen real photos"
    parts = []
    if raised:
        parts.append(f"Painted images raise {where} by {_sizes(raised, total)}")
    if lowered:
        verb = "they lower it" if raised else f"No gain: painted images lower {where}"
        parts.append(f"{verb} by {_sizes(lowered, total)}")
    if unclear:
        what = "no clear difference" if parts else f"No gain: no clear difference in {where}"
        parts.append(f"{what} {_changes(unclear, total)}")
    if unjudged:
        what = "no claim" if parts else f"No claim about {where}"
        changes = _changes([(gain, gain.whole) for gain in unjudged], total)
        parts.append(f"{what} {changes}: {MIN_SUBSETS} trainings an arm are the least")
    best = ", ".join(dict.fromkeys(gain.baseline.title for gain in gains))
    intervals = f"{100 * confidence:.4g} % intervals" + (", together 95 %" if len(judged) > 1 else "")
    about = f"{gains[0].arm.title}, against the best arm without them: {best}"
    return f"{'; '.join(parts)} ({f'{intervals}; ' if judged else ''}{about})."


def share_sentence(arm: Arm, share: Interval, number: int, measured: int) -> str:
    """How far painted pictures alone get; of the arm `calibrated`, `measured` real ones gave the scale of its boxes."""
    bounds = "no interval" if math.isnan(share.low) else f"{100 * share.low:.0f}, {100 * share.high:.0f}"
    how = {
        "synthetic": "without anything real",
        "calibrated": f"with the scale of their boxes measured on {measured} real images",
    }[arm.name]
    return (
        f"Painted images alone, {how}, reach {100 * share.value:.0f} % [{bounds}] "
        f"of the mAP that all {number} real images reach."
    )


def with_images(number: int, total: int) -> str:
    """A number of real pictures in words."""
    if number == total:
        return f"with all {total} real images"
    return f"with {number} real image{'s' if number > 1 else ''}"


def _sizes(found: Sequence[tuple[Gain, Interval]], total: int) -> str:
    words: list[str] = []
    for gain, interval in found:
        size = f"{points(abs(interval.value))}{'' if words else ' points'} {range_of(interval)}"
        words.append(f"{size} {with_images(gain.number, total)} ({_trainings(gain, total)})")
    return _joined(words)


def _changes(found: Sequence[tuple[Gain, Interval]], total: int) -> str:
    return _joined(
        [
            f"{with_images(gain.number, total)} ({points(interval.value, signed=True)} {range_of(interval)}, "
            f"{_trainings(gain, total)})"
            for gain, interval in found
        ]
    )


def _trainings(gain: Gain, total: int) -> str:
    """How many trainings stand behind a gain: of all pictures there is one subset, and only the seeds differ."""
    count = gain.whole.subsets
    return f"{count} {'seed' if gain.number == total else 'subset'}{'s' if count > 1 else ''}"


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ValueCurve:
    """Points in order of their number of painted pictures, and the gain of each step from one to the next.

    `worth`: painted pictures of the last point that is better than the last such point before it, or than the first,
    clearly and by more than a trifle; `is_flat`: the last step brings, to 95 %, no more than a trifle; `is_over`: that,
    or two steps without gain.
    """

    points: tuple[Cell, ...]
    steps: tuple[Gain, ...]
    worth: int
    is_flat: bool
    is_over: bool


def curve_of(cells: Sequence[Cell], settings: ValueCurveConfig) -> ValueCurve:
    """Compare each point with the one before it, and with the last that was worth it."""
    steps = tuple(gain_of(after, before) for before, after in pairwise(cells))
    best = cells[0] if cells else None
    for cell in cells[1:]:
        # Two steps that are unclear each may well be clear together.
        gain = gain_of(cell, best).whole if best else None
        if gain and gain.sign > 0 and gain.high >= settings.flat_below:
            best = cell
    is_flat = bool(steps) and steps[-1].whole.high < settings.flat_below
    last = steps[-_PATIENCE:]
    return ValueCurve(
        points=tuple(cells),
        steps=steps,
        worth=best.painted if best else 0,
        is_flat=is_flat,
        is_over=is_flat or (len(last) == _PATIENCE and all(step.whole.sign <= 0 for step in last)),
    )


def advice(curve: ValueCurve, settings: ValueCurveConfig, categories: Sequence[str]) -> str:
    """How many images to paint, and of which class, next to so many real ones."""
    step, most = curve.steps[-1], curve.points[-1].painted
    change = f"{points(step.whole.value, signed=True)} {range_of(step.whole)} from {curve.points[-2].painted} to {most}"
    first = curve.points[0]
    beaten = f", against {first.arm.title}," if not first.painted else ""
    place = f"Next to {settings.real_images} real images{beaten}"
    if curve.worth == most and curve.is_flat:
        text = f"{place} {most} painted images are worth it; in the last step the score is flat ({change})."
    elif curve.worth == most:
        text = f"{place} the score still rises at {most} painted images ({change}): paint more."
    elif curve.worth == curve.points[0].painted:
        text = f"{place} no number of painted images up to {most} shows a gain ({change})."
    else:
        what = "the score is flat" if curve.is_flat else "no further gain shows"
        text = f"{place} {curve.worth} painted images are worth it; beyond, {what} ({change})."
    rising = [
        f"{name} ({points(item.value, signed=True)} {range_of(item)})"
        for name, item in zip(categories, step.of_category, strict=True)
        if item.sign > 0
    ]
    if rising:
        return f"{text} In the last step {' and '.join(rising)} still rises: paint more of that."
    gained = [_gained(curve, number) for number in range(len(categories))]
    top = gained.index(max(gained))
    most_gained = f"{categories[top]} gained most in all ({points(gained[top], signed=True)})"
    return f"{text} No class rises clearly in the last step; {most_gained}."


def _gained(curve: ValueCurve, category: int) -> float:
    first, last = curve.points[0], curve.points[-1]
    return float(last.ap_of_category[:, category].mean() - first.ap_of_category[:, category].mean())
