"""What came out, in plain words. Pure functions of the numbers; the first line never says more than they do."""

from __future__ import annotations

import math
from collections.abc import Sequence

from detection.experiment.config import Arm
from detection.experiment.statistics import MIN_SUBSETS, Gain
from detection.intervals import CONFIDENCE, Interval

ARM_NAMES: dict[Arm, str] = {
    "real": "real only",
    "copy_paste": "real with copy-paste",
    "synthetic": "painted only",
    "calibrated": "painted only, boxes measured",
    "refined": "painted, then refined on real",
    "refined_copy_paste": "painted, then refined on real with copy-paste",
    "mixed": "painted and real mixed",
}


def arm_name(arm: Arm, measured: int) -> str:
    """The name of an arm in a table; of one that counts as without real pictures, how many its boxes know."""
    return f"{ARM_NAMES[arm]} on {measured} real" if arm == "calibrated" else ARM_NAMES[arm]


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
    best = ", ".join(dict.fromkeys(ARM_NAMES[gain.baseline] for gain in gains))
    intervals = f"{100 * confidence:.4g} % intervals" + (", together 95 %" if len(judged) > 1 else "")
    about = f"{ARM_NAMES[gains[0].arm]}, against the best arm without them: {best}"
    return f"{'; '.join(parts)} ({f'{intervals}; ' if judged else ''}{about})."


def share_sentence(arm: Arm, share: Interval, number: int, measured: int) -> str:
    """How far painted pictures alone get; of the arm `calibrated`, `measured` real ones gave the scale of its boxes."""
    bounds = "no interval" if math.isnan(share.low) else f"{100 * share.low:.0f}, {100 * share.high:.0f}"
    how = {
        "synthetic": "without anything real",
        "calibrated": f"with the scale of their boxes measured on {measured} real images",
    }[arm]
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
