"""The same categories, in the same order, in every data set of a run; matched by name, whatever the case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from detection.datasets.types import DetectionDataset
from generator.foundation.errors import BoxpaintError, DatasetError, Fault


def rename_categories(data: DetectionDataset, rename: Mapping[str, str]) -> DetectionDataset:
    """Give categories other names; two that get the same one become one.

    Old names match in any case; those that are not there have no effect.
    """
    new_names = {old.casefold(): new for old, new in rename.items()}
    names = [new_names.get(name.casefold(), name) for name in data.categories]
    return _relabelled(data, names, tuple(dict.fromkeys(names)))


def choose_categories(
    data: DetectionDataset, wanted: Sequence[str], *, where: str, rename_with: str = "--rename OLD=NEW"
) -> DetectionDataset:
    """Keep these categories, in this order and under these names; labels of all others go.

    A name is matched as it stands, else in any case. Raises DatasetError naming both lists when one is missing, or
    when two categories of the data set match it; the message speaks of `where` and advises `rename_with`.
    """
    found = {name: matching(name, data.categories) for name in wanted}
    missing = [name for name, names in found.items() if not names]
    twice = [name for name, names in found.items() if len(names) > 1]
    if missing or twice:
        what = f"has no category {_listed(missing)}" if missing else f"has more than one category {_listed(twice)}"
        expected = (
            f"{what}; its categories: {', '.join(data.categories)}; the ones needed: {', '.join(wanted)}. "
            f"Match them with {rename_with}"
        )
        raise DatasetError([Fault(file=where, expected=expected)])
    new_names = {names[0]: name for name, names in found.items()}
    return _relabelled(data, [new_names.get(name) for name in data.categories], tuple(wanted))


def check_rename(rename: Iterable[str], categories: Iterable[str]) -> None:
    """Raise BoxpaintError for a name to be changed that no category has, in any case."""
    known = list(dict.fromkeys(categories))
    unknown = [old for old in rename if old.casefold() not in {name.casefold() for name in known}]
    if unknown:
        raise BoxpaintError(f"--rename: there is no category {', '.join(unknown)}; known: {', '.join(known)}")


def check_same_categories(sets: Mapping[str, DetectionDataset]) -> None:
    """Raise BoxpaintError, naming all lists, unless the data sets hold the same categories, in any order and case."""
    names = [{name.casefold() for name in data.categories} for data in sets.values()]
    if any(each != names[0] for each in names):
        lists = [f"  {where}: {', '.join(data.categories)}" for where, data in sets.items()]
        shared = [
            name for name in next(iter(sets.values())).categories if all(name.casefold() in each for each in names)
        ]
        advice = "match them with --rename OLD=NEW"
        if shared:
            advice += f", or train on those that all have: --categories {','.join(shared)}"
        raise BoxpaintError("\n".join(["the data sets hold different categories:", *lists, advice]))


def matching(name: str, names: Sequence[str]) -> list[str]:
    """Find a name as it stands, else in any case."""
    return [name] if name in names else [each for each in names if each.casefold() == name.casefold()]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))


def _relabelled(data: DetectionDataset, names: Sequence[str | None], categories: tuple[str, ...]) -> DetectionDataset:
    """Name category k of the data set names[k]; labels of those without a name go."""
    numbers = {name: number for number, name in enumerate(categories, start=1)}
    new_labels = np.array([0, *(numbers[name] if name is not None else 0 for name in names)], np.int64)
    samples = []
    for sample in data.samples:
        labels = new_labels[sample.labels]
        unlabelled = {int(new_labels[label]) for label in sample.not_exhaustive} - {0}
        changed = replace(sample, labels=labels, not_exhaustive=frozenset(unlabelled))
        samples.append(changed.choose(labels > 0))
    return DetectionDataset(categories=categories, samples=tuple(samples))
