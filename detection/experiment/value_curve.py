"""How many painted pictures are worth it: the score against their number, until further ones bring nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from detection.experiment.config import ValueCurveConfig
from detection.experiment.statistics import Cell, Gain, gain_of
from detection.experiment.verdict import ARM_NAMES, points, range_of

# Steps in a row that show nothing before the curve ends: one alone may be bad luck.
_PATIENCE = 2


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
    beaten = f", against {ARM_NAMES[first.arm]}," if not first.painted else ""
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
