"""What goes into a comparison: real crops to train on, to validate and to test on, and painted ones to add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np

from detection.classifier.crops import BACKGROUND, Crops, cut_crops
from detection.classifier.settings import ClassifierSettings
from detection.datasets.categories import choose_categories, rename_categories
from detection.datasets.names import splits_of_kind
from detection.datasets.near_duplicates import near_duplicate_groups
from detection.datasets.read import read_detection_set
from detection.datasets.splits import split_set
from detection.datasets.types import DetectionDataset
from generator.foundation.coco import find_annotation_files
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.seeds import derive_rng, derive_seed
from generator.foundation.storage import sha256_of, translate_os_errors

# Positions below the settings' seed, see generator/foundation/seeds.py; detection/classifier/run.py has the others.
_HOLD_OUT, _BACKGROUND, _SUBSET = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the crops come from, all in COCO form.

    `test` and `validation`: a split of `real`, or another data set; None takes its splits of that kind (test2017, too),
    and without one holds out a share of its pictures (for validation only where early stopping needs it). `classes`:
    those to tell apart; None takes all of `real`.
    """

    real: Path
    synthetic: Path | None = None
    test: str | None = None
    validation: str | None = None
    classes: tuple[str, ...] | None = None
    rename: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassifierData:
    """Crops of all sides; no picture is on two of them. `notes` say what a reader of the result should know."""

    train: Crops
    synthetic: Crops | None
    validation: Crops | None
    test: Crops
    notes: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels."""
        return self.test.classes

    @property
    def sides(self) -> dict[str, Crops]:
        """Those that there are, by name."""
        sides = {"train": self.train, "synthetic": self.synthetic, "validation": self.validation, "test": self.test}
        return {name: side for name, side in sides.items() if side is not None}

    def digests(self) -> dict[str, str]:
        """What identifies each side."""
        return {name: side.digest() for name, side in self.sides.items()}


def read_data(sources: Sources, settings: ClassifierSettings, *, side_px: int) -> ClassifierData:
    """Read and cut everything. Raises DatasetError for what is missing, empty, or on two sides."""
    train, validation, test = _real_sides(sources, settings)
    known_limits = (*train.categories, BACKGROUND) if settings.background else train.categories
    unknown = [name for name in settings.limits if name not in known_limits]
    if unknown:
        expected = f"--limit: there is no class {', '.join(map(repr, unknown))}; known: {', '.join(known_limits)}"
        raise DatasetError([Fault(file=str(sources.real), expected=expected)])
    notes = []
    synthetic = None
    if sources.synthetic is not None:
        synthetic = _read(sources.synthetic, None, sources.rename)
        known = {name.casefold() for name in synthetic.categories}
        shared = [name for name in train.categories if name.casefold() in known]
        if not shared:
            names = " is one of ".join(", ".join(each) for each in (synthetic.categories, train.categories))
            expected = f"none of its categories {names}; see --rename"
            raise DatasetError([Fault(file=str(sources.synthetic), expected=expected)])
        synthetic = choose_categories(synthetic, shared, where=str(sources.synthetic))
        missing = [name for name in train.categories if name not in shared]
        if missing:
            notes.append(f"The painted set has no labels of {', '.join(missing)}: those crops are all real.")
    sides = [(name, side) for name, side in (("train", train), ("validation", validation), ("test", test)) if side]
    cut = {name: _cut(side, settings, side_px, train.categories, number) for number, (name, side) in enumerate(sides)}
    painted = None
    if synthetic is not None:
        _check_apart({"painted": synthetic, "validation": validation, "test": test})
        # What a painted picture leaves unlabelled may be an object of a class that it does not label.
        has_background = set(synthetic.categories) == set(train.categories)
        if settings.background and not has_background:
            notes.append("Background crops are all real, too: unlabelled parts of painted pictures may show them.")
        painted = _cut(
            synthetic,
            settings,
            side_px,
            train.categories,
            len(sides),
            background=has_background,
            painted_only=True,
        )
    empty = [name for name, count in cut["test"].counts().items() if not count]
    if not len(cut["test"]):
        raise DatasetError([Fault(file=str(sources.test or sources.real), expected="no labelled object to test on")])
    validated = cut.get("validation")
    if validated is not None and not len(validated):
        if settings.patience is not None:
            where = str(sources.validation or sources.real)
            raise DatasetError([Fault(file=where, expected="no labelled object to validate on, as --patience does")])
        notes.append("The validation pictures hold no labelled object: nothing is scored while models are trained.")
        validated = None
    if empty:
        notes.append(f"Without test crops, and left out of the averages: {', '.join(empty)}.")
    return ClassifierData(
        train=cut["train"], synthetic=painted, validation=validated, test=cut["test"], notes=tuple(notes)
    )


def choose_subset(train: Crops, settings: ClassifierSettings, number: int) -> Crops:
    """Draw the real training crops of seed `number`: of each class as many as asked for, without replacement.

    A larger subset of the same number holds the smaller one.
    """
    positions: list[int] = []
    labels = train.labels
    for label, name in enumerate(train.classes):
        own = np.flatnonzero(labels == label)
        limit = settings.limits.get(name, settings.per_class)
        order = derive_rng(settings.seed, _SUBSET, number, label).permutation(len(own))
        positions += own[order[:limit]].tolist()
    return train.choose(sorted(positions))


def _real_sides(
    sources: Sources, settings: ClassifierSettings
) -> tuple[DetectionDataset, DetectionDataset | None, DetectionDataset]:
    """Real pictures to train on, to validate on (or none), and to test on."""
    files = find_annotation_files(sources.real) if sources.real.is_dir() else []
    splits = [file.stem.removeprefix("instances_") for file in files]
    kept_to_test = splits_of_kind(splits, "test")
    tests = [sources.test] if sources.test else kept_to_test
    validations = [sources.validation] if sources.validation else splits_of_kind(splits, "val")
    validations = [name for name in validations if name not in tests]
    taken = {*tests, *validations, *kept_to_test} & {*splits}
    rest = [name for name in splits if name not in taken]
    rest = [name for name in splits_of_kind(splits, "train") if name in rest] or rest
    if splits and not rest:
        expected = f"no split is left to train on besides {', '.join(sorted(taken))}"
        raise DatasetError([Fault(file=str(sources.real), expected=expected)])

    def read(path: Path, split: str | None, classes: tuple[str, ...] | None) -> DetectionDataset:
        data = _read(path, split, sources.rename)
        return data if classes is None else choose_categories(data, classes, where=str(path))

    def side(names: Sequence[str], classes: tuple[str, ...]) -> DetectionDataset:
        return reduce(
            DetectionDataset.joined,
            (
                read(sources.real, name, classes) if name in splits else read(_existing(name, splits), None, classes)
                for name in names
            ),
        )

    train = read(sources.real, rest[0] if rest else None, sources.classes)
    for name in rest[1:]:
        train = train.joined(read(sources.real, name, train.categories))
    classes = train.categories
    if not tests:
        train, tested = _hold_out(train, settings, 0)
    else:
        tested = side(tests, classes)
    validated: DetectionDataset | None = None
    if not validations and settings.patience is not None:
        train, validated = _hold_out(train, settings, 1)
    elif validations:
        validated = side(validations, classes)
    _check_apart({"train": train, "validation": validated, "test": tested})
    return train, validated, tested


def _read(path: Path, split: str | None, rename: Mapping[str, str] | None) -> DetectionDataset:
    return rename_categories(read_detection_set(path, split=split), rename or {})


def _hold_out(
    data: DetectionDataset, settings: ClassifierSettings, number: int
) -> tuple[DetectionDataset, DetectionDataset]:
    shares = {"kept": 1 - settings.hold_out, "held out": settings.hold_out}
    groups = near_duplicate_groups(sample.path for sample in data.samples)
    sides = split_set(data, shares, derive_seed(settings.seed, _HOLD_OUT, number), groups)
    return sides["kept"], sides["held out"]


def _existing(name: str, splits: list[str]) -> Path:
    path = Path(name)
    if not path.exists():
        known = f"splits of --real: {', '.join(splits)}" if splits else "--real has no splits"
        raise DatasetError([Fault(file=name, expected=f"neither a split nor a data set; {known}")])
    return path


def _check_apart(sides: Mapping[str, DetectionDataset | None]) -> None:
    """Raise DatasetError when one picture, by its bytes, is on two sides: the scores would mean nothing."""
    seen: dict[str, tuple[str, Path]] = {}
    for name, side in sides.items():
        for sample in side.samples if side is not None else ():
            with translate_os_errors(sample.path):
                other, path = seen.setdefault(sha256_of(sample.path), (name, sample.path))
            if other != name:
                expected = f"the same picture is on the side {other}, too: {path}"
                raise DatasetError([Fault(file=str(sample.path), column=name, expected=expected)])


def _cut(
    side: DetectionDataset,
    settings: ClassifierSettings,
    side_px: int,
    classes: tuple[str, ...],
    number: int,
    *,
    background: bool = True,
    painted_only: bool = False,
) -> Crops:
    seed = derive_seed(settings.seed, _BACKGROUND, number) if settings.background and background else None
    crops = cut_crops(
        side,
        margin=settings.margin,
        side_px=side_px,
        boxes=settings.boxes,
        background_seed=seed,
        painted_only=painted_only,
    )
    return crops.relabelled((*classes, BACKGROUND) if settings.background else classes)
