"""Categories by the names that the user wants, and the objects that are left."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from detection.importers.mending import MendedObject
from detection.importers.types import Case, ImportOptions, RawSet
from generator.foundation.errors import DatasetError, Fault
from generator.spec import MAX_NAME


def find_categories(raw: RawSet, options: ImportOptions) -> tuple[str, ...]:
    """Name the categories of the result; one without a name is none.

    Raises DatasetError when one that is asked for is not there, or has a longer name than any data set may hold.
    """
    observed = sorted({item.category for picture in raw.pictures for item in picture.objects})
    known = [name for name in dict.fromkeys([*raw.categories, *observed]) if name]
    faults = [_unknown_fault("--rename", name, known) for name in options.rename if name not in known]
    names = list(dict.fromkeys(options.rename.get(name, name) for name in known))
    faults += [_unknown_fault("--keep", name, names) for name in options.keep if name not in names]
    expected = f"the name of a category has at most {MAX_NAME} letters; --rename gives it another"
    faults += [Fault(file="categories", found=name, expected=expected) for name in names if len(name) > MAX_NAME]
    if faults:
        raise DatasetError(faults)
    return tuple(dict.fromkeys(options.keep)) or tuple(names)


def choose_objects(
    pictures: Sequence[Sequence[MendedObject]], categories: Sequence[str], options: ImportOptions
) -> tuple[list[list[MendedObject]], list[Case]]:
    """Rename the objects of every picture and leave out those of no category of `categories`: one case a name."""
    lost: Counter[str] = Counter()
    result = []
    for objects in pictures:
        renamed = [replace(item, category=options.rename.get(item.category, item.category)) for item in objects]
        lost.update(item.category for item in renamed if item.category not in categories)
        result.append([item for item in renamed if item.category in categories])
    what = "a category that --keep does not name"
    cases = [
        Case(file=".", what=what, found=f"{name}: {count}", done="dropped", lost_objects=count)
        for name, count in sorted(lost.items())
    ]
    return result, cases


def _unknown_fault(option: str, name: str, known: Sequence[str]) -> Fault:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return Fault(file=option, found=name, expected=f"no such category; {hint}known: {', '.join(known) or 'none'}")
