"""Where the pictures of a run come from: which splits are trained on, which are validated on, and their digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, Literal

from detection.calibration.scale import measure_scales, requested_boxes, rescale
from detection.datasets.read import read_detection_set
from detection.datasets.types import DetectionSet
from detection.runs.categories import check_same_categories, choose_categories, rename_categories
from generator.errors import BoxpaintError, DatasetError, Fault
from generator.storage import sha256_of, translate_os_errors
from generator.validation import find_annotation_files

Role = Literal["real", "synthetic", "trained", "validation", "scored"]
BoxMode = Literal["tight", "requested", "calibrated"]
VALIDATION_SPLITS = ("val", "valid", "validation")
TEST_SPLIT = "test"
_PREFIX = "instances_"
_KEPT_APART = f"the split '{TEST_SPLIT}' is kept for `boxpaint evaluate`; it is never trained or validated on"


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """Pictures of a run; `splits` are those that were read, none for a file. `boxes` says which boxes they carry."""

    role: Role
    path: Path
    splits: tuple[str, ...]
    data: DetectionSet
    boxes: str = "labelled"

    @property
    def name(self) -> str:
        """The folder or file, and the splits that were read."""
        return f"{self.path}:{'+'.join(self.splits)}" if self.splits else str(self.path)

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each picture's file, in hex. Raises StorageError."""
        digests = []
        for sample in self.data.samples:
            with translate_os_errors(sample.path):
                digests.append(sha256_of(sample.path))
        return tuple(digests)

    @cached_property
    def digest(self) -> str:
        """What identifies pictures and labels, in their order, wherever they lie."""
        digest = hashlib.sha256(json.dumps(self.data.categories).encode())
        for sample, picture in zip(self.data.samples, self.digests, strict=True):
            digest.update(picture.encode() + sample.boxes_xyxy.tobytes() + sample.labels.tobytes())
            digest.update(json.dumps(sample.segmentations).encode())
        return "sha256:" + digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {
            "role": self.role,
            "path": str(self.path),
            "splits": list(self.splits),
            "pictures": len(self.data),
            "objects": self.data.counts(),
            "boxes": self.boxes,
            "digest": self.digest,
        }


def read_source(text: str, role: Role) -> Source:
    """Read DATASET or DATASET:SPLIT, a data set in COCO form, as its role asks.

    Without a split: `synthetic` reads all of them. `real`, and `trained` where it may be either, read train, else all
    but validation and test. `validation` reads val (or valid, validation), else the only one. `scored` reads test, else
    validation, else all. A split called test is never trained or validated on. Raises DatasetError.
    """
    path, split = _parted(text)
    known = () if path.is_file() else _splits_of(path)
    chosen = _chosen(path, known, split, role)
    parts = [read_detection_set(path, split=name) for name in chosen] or [read_detection_set(path)]
    data = _joined(parts)
    if not data.samples:
        raise DatasetError([Fault(file=text, expected="no pictures are in it")])
    return Source(role=role, path=path, splits=chosen, data=data)


def default_validation(text: str) -> Source | None:
    """The validation split of a data set that is trained on; None when it has none, or a split of it was named."""
    path, split = _parted(text)
    if split is not None or path.is_file():
        return None
    names = [name for name in VALIDATION_SPLITS if name in _splits_of(path)]
    return read_source(f"{path}:{names[0]}", "validation") if names else None


def match_sources(
    sources: Sequence[Source], categories: Sequence[str] | None, rename: Mapping[str, str]
) -> list[Source]:
    """Bring all to the same categories: those named, or, where none are, those of the first, which all must share.

    `rename` gives categories of any of them another name first. Raises BoxpaintError naming the lists when they do not
    fit, or when a name to be changed is in none of them.
    """
    known = list(dict.fromkeys(name for source in sources for name in source.data.categories))
    unknown = [old for old in rename if old.casefold() not in {name.casefold() for name in known}]
    if unknown:
        raise BoxpaintError(f"--rename: there is no category {', '.join(unknown)}; known: {', '.join(known)}")
    renamed = [replace(source, data=rename_categories(source.data, rename)) for source in sources]
    if categories is None:
        check_same_categories({source.name: source.data for source in renamed})
    wanted = renamed[0].data.categories if categories is None else categories
    return [replace(source, data=choose_categories(source.data, wanted, where=source.name)) for source in renamed]


def with_boxes(synthetic: Source, boxes: BoxMode, real: Source | None) -> Source:
    """Give painted pictures the boxes to train with: `tight` around what was painted, as `requested` of the painter, or
    `calibrated`: tight, scaled to how the boxes of `real` are drawn. Raises BoxpaintError without `real` for that."""
    if boxes == "requested":
        return replace(synthetic, data=requested_boxes(synthetic.data), boxes=boxes)
    if boxes == "calibrated":
        if real is None:
            raise BoxpaintError("--boxes calibrated: real boxes are needed to measure by; give --real")
        scales = measure_scales(real.data, synthetic.data)
        return replace(synthetic, data=rescale(synthetic.data, scales), boxes=boxes)
    return replace(synthetic, boxes=boxes)


def check_validation(trained: Sequence[Source], validation: Source) -> None:
    """Raise DatasetError when a picture is both trained and validated on, or there is nothing to find."""
    if not any(validation.data.counts().values()):
        expected = (
            f"there is no object of {', '.join(validation.data.categories)} in these validation pictures; name others "
            "with --validation DATASET:SPLIT, or none with --no-validation"
        )
        raise DatasetError([Fault(file=validation.name, expected=expected)])
    seen = {digest for source in trained for digest in source.digests}
    both = [
        sample.path
        for sample, digest in zip(validation.data.samples, validation.digests, strict=True)
        if digest in seen
    ]
    if both:
        expected = (
            f"{len(both)} of its pictures are trained on, too, the first: {both[0]}; name other pictures with "
            "--validation DATASET:SPLIT, or none with --no-validation"
        )
        raise DatasetError([Fault(file=validation.name, expected=expected)])


def _parted(text: str) -> tuple[Path, str | None]:
    """'folder:split' -> (folder, split); a path that is there as it stands has none."""
    path, colon, split = text.rpartition(":")
    if not colon or Path(text).exists() or not path or not split:
        return Path(text), None
    return Path(path), split


def _splits_of(path: Path) -> tuple[str, ...]:
    return tuple(file.stem.removeprefix(_PREFIX) for file in find_annotation_files(path))


def _chosen(path: Path, known: Sequence[str], split: str | None, role: Role) -> tuple[str, ...]:
    if split is not None:
        if path.is_file():
            expected = f"one COCO file has no splits, such as '{split}'; give its name alone, or the data set's folder"
            raise DatasetError([Fault(file=str(path), expected=expected)])
        if split == TEST_SPLIT and role != "scored":
            raise DatasetError([Fault(file=f"{path}:{split}", expected=_KEPT_APART)])
        return (split,)
    if role == "synthetic" or len(known) == 0:
        return tuple(known)
    held_out = [name for name in VALIDATION_SPLITS if name in known]
    if role in ("real", "trained"):
        chosen = ["train"] if "train" in known else [n for n in known if n not in (*VALIDATION_SPLITS, TEST_SPLIT)]
    elif role == "validation":
        chosen = held_out[:1]
    else:
        chosen = [TEST_SPLIT] if TEST_SPLIT in known else held_out[:1] or list(known)
    others = [name for name in known if name != TEST_SPLIT]
    if not chosen and len(known) == 1:
        chosen = others
    if not chosen:
        named = f"which split? Name one: {', '.join(f'{path}:{name}' for name in others)}"
        raise DatasetError([Fault(file=str(path), expected=named if others else _KEPT_APART)])
    return tuple(chosen)


def _joined(parts: Sequence[DetectionSet]) -> DetectionSet:
    """Put splits together that may list their categories in another order, or not all of them."""
    names = tuple(dict.fromkeys(name for part in parts for name in part.categories))

    def widened(part: DetectionSet) -> DetectionSet:
        missing = tuple(name for name in names if name not in part.categories)
        whole = DetectionSet(categories=(*part.categories, *missing), samples=part.samples)
        return choose_categories(whole, names, where="")

    return reduce(DetectionSet.joined, map(widened, parts))
