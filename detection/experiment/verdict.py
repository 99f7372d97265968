"""What came out, in plain words. Pure functions of the numbers; the first line never says more than they do."""

from __future__ import annotations

from collections.abc import Sequence

from detection.experiment.config import Arm
from detection.experiment.statistics import Gain, Interval

ARM_NAMES: dict[Arm, str] = {
    "real": "real only",
    "copy_paste": "real with copy-paste",
    "synthetic": "painted only",
    "calibrated": "painted only, boxes measured",
    "refined": "painted, then refined on real",
    "mixed": "painted and real mixed",
}


def points(value: float, *, signed: bool = False) -> str:
    """AP in points of 100: 0.0712 is 7.1."""
    return f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"


def range_of(interval: Interval) -> str:
    """The ends of an interval in points."""
    return f"[{points(interval.low)}, {points(interval.high)}]"


def verdict(gains: Sequence[Gain], *, pictures: int, total: int) -> str:
    """One sentence about the claimed arm's gains, by number of real pictures; `total` is all there are.

    It begins with "No gain" unless some interval lies above zero, and names every number of pictures, so that what
    was lost is not passed over.
    """
    if not gains:
        return "No verdict: no arm with painted pictures was compared with one without."
    raised = [gain for gain in gains if gain.whole.sign > 0]
    lowered = [gain for gain in gains if gain.whole.sign < 0]
    unclear = [gain for gain in gains if gain.whole.sign == 0]
    where = f"mAP 0.50:0.95 on {pictures} unseen real pictures"
    parts = []
    if raised:
        parts.append(f"Painted images raise {where} by {_listed(raised, total)}")
    if lowered:
        verb = "they lower it" if raised else f"No gain: painted images lower {where}"
        parts.append(f"{verb} by {_listed(lowered, total)}")
    if unclear:
        if raised or lowered:
            parts.append(f"no clear difference {_listed_with_sign(unclear, total)}")
        else:
            parts.append(f"No gain: no clear difference in {where} {_listed_with_sign(unclear, total)}")
    best = ", ".join(dict.fromkeys(ARM_NAMES[gain.baseline] for gain in gains))
    return f"{'; '.join(parts)} (95 % intervals; {ARM_NAMES[gains[0].arm]}, against the best arm without them: {best})."


def share_sentence(arm: Arm, share: Interval, number: int, measured: int) -> str:
    """How far painted pictures alone get; of the arm `calibrated`, `measured` real ones gave the scale of its boxes."""
    low, high = 100 * share.low, 100 * share.high
    how = {
        "synthetic": "without anything real",
        "calibrated": f"with the scale of their boxes measured on {measured} real images",
    }[arm]
    return (
        f"Painted images alone, {how}, reach {100 * share.value:.0f} % [{low:.0f}, {high:.0f}] "
        f"of the mAP that all {number} real images reach."
    )


def with_images(number: int, total: int) -> str:
    """A number of real pictures in words."""
    if number == total:
        return f"with all {total} real images"
    return f"with {number} real image{'s' if number > 1 else ''}"


def _listed(gains: Sequence[Gain], total: int) -> str:
    words: list[str] = []
    for gain in gains:
        size = f"{points(abs(gain.whole.value))} points" if not words else points(abs(gain.whole.value))
        words.append(f"{size} {range_of(gain.whole)} {with_images(gain.number, total)}")
    return _joined(words)


def _listed_with_sign(gains: Sequence[Gain], total: int) -> str:
    return _joined(
        [
            f"{with_images(gain.number, total)} ({points(gain.whole.value, signed=True)} {range_of(gain.whole)})"
            for gain in gains
        ]
    )


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
