"""How many objects of each class to paint, so that a real set and the painted one together hold as many of each.

What imbalance between classes does to detectors: Oksuz et al. 2021, arXiv 1909.00169, section 4.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from generator.foundation.errors import BoxpaintError
from generator.spec import Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassBalance:
    """One class: objects in the real set, wanted in both sets together, and to be painted."""

    name: str
    real: int
    target: int

    @property
    def painted(self) -> int:
        """Objects to paint: none where the real set has enough."""
        return max(0, self.target - self.real)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What is to be painted, and the spec that asks for it; `ignored`: real classes that the spec does not know."""

    classes: tuple[ClassBalance, ...]
    spec: Spec
    ignored: Mapping[str, int]


def balance(spec: Spec, real: Mapping[str, int], targets: Mapping[str, int] | None = None) -> Balance:
    """Ask for so many objects of each class that a real set with `real` objects and the painted one are even together.

    `targets`: objects of a class in both sets together. Without any, each class is wanted as often as the commonest of
    them in the real set; where some are given, only those are painted. Names are compared without regard to case.
    There are as many scenes as it takes with the spec's usual number of objects in each, of each kind the share that
    the spec asks for. Raises BoxpaintError where nothing is to be painted, or a target names no class.
    """
    known = {name.casefold(): name for name in spec.categories}
    counts = Counter(dict.fromkeys(spec.categories, 0))
    ignored: Counter[str] = Counter()
    for name, count in real.items():
        if name.casefold() in known:
            counts[known[name.casefold()]] += count
        else:
            ignored[name] += count
    unknown = [name for name in targets or {} if name.casefold() not in known]
    if unknown:
        raise BoxpaintError(f"there is no class {', '.join(map(repr, unknown))}; classes: {', '.join(spec.categories)}")
    wanted = {known[name.casefold()]: count for name, count in (targets or {}).items()}
    if not wanted:
        wanted = dict.fromkeys(counts, max(counts.values()))
    absent = [name for name, count in wanted.items() if count > counts[name] and not _usual_of(spec, name)]
    if absent:
        raise BoxpaintError(f"{', '.join(absent)}: max_appear is 0, so that none can be painted; 1 or more is needed")
    classes = tuple(
        ClassBalance(name=name, real=counts[name], target=wanted.get(name, counts[name])) for name in spec.categories
    )
    if not any(each.painted for each in classes):
        held = ", ".join(f"{each.real} {each.name}" for each in classes)
        raise BoxpaintError(f"nothing is to be painted: the real set holds {held}; give --target NAME=N for more")
    return Balance(classes=classes, spec=_asking_for(spec, classes), ignored=dict(ignored))


def _asking_for(spec: Spec, classes: Sequence[ClassBalance]) -> Spec:
    """The spec with as many objects in all as are to be painted, and the scenes that it takes."""
    totals: dict[int, int] = {}
    for wish in classes:
        rows = [number for number, row in enumerate(spec.classes) if row.name == wish.name]
        totals |= dict.fromkeys(rows, 0)
        if wish.painted:
            parts = shared_out(wish.painted, [spec.classes[row].usual_count for row in rows])
            totals |= dict(zip(rows, parts, strict=True))
    scenes = max(math.ceil(total / spec.classes[row].usual_count) for row, total in totals.items() if total)
    numbers = shared_out(scenes, [row.num_imgs for row in spec.backgrounds])
    return replace(
        spec,
        classes=tuple(replace(row, total=totals[number]) for number, row in enumerate(spec.classes)),
        backgrounds=tuple(replace(row, num_imgs=number) for row, number in zip(spec.backgrounds, numbers, strict=True)),
    )


def _usual_of(spec: Spec, name: str) -> float:
    return sum(row.usual_count for row in spec.classes if row.name == name)


def shared_out(total: int, weights: Sequence[float]) -> list[int]:
    """Divide a whole number into whole parts in the proportion of weights, by largest remainders.

    >>> shared_out(10, [1, 1, 1])
    [4, 3, 3]
    """
    exact = [total * weight / sum(weights) for weight in weights]
    parts = [math.floor(share) for share in exact]
    order = sorted(range(len(parts)), key=lambda place: (parts[place] - exact[place], place))
    for place in order[: total - sum(parts)]:
        parts[place] += 1
    return parts
