"""Where the pictures of a run come from: which splits are trained on, which are validated on, and their digests."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, Literal

from detection.datasets.boxes import BoxScale
from detection.datasets.categories import check_rename, check_same_categories, choose_categories, rename_categories
from detection.datasets.names import splits_of_kind
from detection.datasets.read import read_detection_set
from detection.datasets.types import DetectionDataset, digest_of_set
from generator.foundation.coco import find_annotation_files
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.split_names import split_of_name
from generator.foundation.storage import sha256_of, translate_os_errors

Role = Literal["real", "synthetic", "trained", "validation", "scored"]
_PREFIX = "instances_"
_KEPT_APART = "the split 'test' of real pictures is kept for `boxpaint evaluate`; it is never trained or validated on"


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """Pictures of a run; `splits` are those that were read, none for a file. `boxes` says which boxes they carry.

    `scales`: of each category what its boxes were multiplied by, where they are calibrated.
    """

    role: Role
    path: Path
    splits: tuple[str, ...]
    data: DetectionDataset
    boxes: str = "labelled"
    scales: Mapping[str, BoxScale] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The folder or file, and the splits that were read."""
        return f"{self.path}:{'+'.join(self.splits)}" if self.splits else str(self.path)

    @cached_property
    def digests(self) -> tuple[str, ...]:
        """SHA-256 of each picture's file, in hex. Raises StorageError."""
        return picture_digests(self.data)

    @cached_property
    def digest(self) -> str:
        """What identifies pictures and labels, in their order, wherever they lie."""
        return "sha256:" + digest_of_set(self.data, self.digests)

    def describe(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {
            "role": self.role,
            "path": str(self.path),
            "splits": list(self.splits),
            "pictures": len(self.data),
            "objects": self.data.counts(),
            "boxes": self.boxes,
            **({"scales": {name: asdict(scale) for name, scale in self.scales.items()}} if self.scales else {}),
            "digest": self.digest,
        }


def picture_digests(data: DetectionDataset) -> tuple[str, ...]:
    """SHA-256 of each picture's file, in hex. Raises StorageError."""
    digests = []
    for sample in data.samples:
        with translate_os_errors(sample.path):
            digests.append(sha256_of(sample.path))
    return tuple(digests)


def read_source(text: str, role: Role) -> Source:
    """Read DATASET or DATASET:SPLIT, a data set in COCO form, as its role asks.

    Without a split: `synthetic` reads all of them. `real`, and `trained` where it may be either, read train, else all
    but val and test. `validation` reads val, else the only one. `scored` reads test, else val, else all. What a name
    means names.py says: train2017 is train, Valid is val. A split or file called test is never trained or
    validated on, but that of painted pictures. Raises DatasetError.
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
    return read_source(text, "validation") if splits_of_kind(_splits_of(path), "val") else None


def match_sources(
    sources: Sequence[Source], categories: Sequence[str] | None, rename: Mapping[str, str]
) -> list[Source]:
    """Bring all to the same categories: those named, or, where none are, those of the first, which all must share.

    `rename` gives categories of any of them another name first. Raises BoxpaintError naming the lists when they do not
    fit, or when a name to be changed is in none of them.
    """
    check_rename(rename, (name for source in sources for name in source.data.categories))
    renamed = [replace(source, data=rename_categories(source.data, rename)) for source in sources]
    if categories is None:
        check_same_categories({source.name: source.data for source in renamed})
    wanted = renamed[0].data.categories if categories is None else categories
    return [replace(source, data=choose_categories(source.data, wanted, where=source.name)) for source in renamed]


def check_validation(
    trained: Sequence[Source],
    validation: Source,
    earlier: Collection[str] = (),
    *,
    otherwise: str = "none with --no-validation",
) -> None:
    """Raise DatasetError when a picture is both trained and validated on, or there is nothing to find.

    `earlier`: digests, as Source.digests, of pictures that the run's first weights were trained on. `otherwise`: what
    is advised beside other pictures.
    """
    if not any(validation.data.counts().values()):
        expected = (
            f"there is no object of {', '.join(validation.data.categories)} in these validation pictures; name others "
            f"with --validation DATASET:SPLIT, or {otherwise}"
        )
        raise DatasetError([Fault(file=validation.name, expected=expected)])
    seen = {*earlier, *(digest for source in trained for digest in source.digests)}
    both = [
        sample.path
        for sample, digest in zip(validation.data.samples, validation.digests, strict=True)
        if digest in seen
    ]
    if both:
        expected = (
            f"{len(both)} of its pictures are trained on, too, by this run or one that it goes on from, the first: "
            f"{both[0]}; name other pictures with --validation DATASET:SPLIT, or {otherwise}"
        )
        raise DatasetError([Fault(file=validation.name, expected=expected)])


def _parted(text: str) -> tuple[Path, str | None]:
    """'folder:split' or 'folder:instances_split' -> (folder, split); a path that is there as it stands has none."""
    path, colon, split = text.rpartition(":")
    if not colon or Path(text).exists() or not path or not split:
        return Path(text), None
    return Path(path), split.removeprefix(_PREFIX)


def _splits_of(path: Path) -> tuple[str, ...]:
    return tuple(file.stem.removeprefix(_PREFIX) for file in find_annotation_files(path))


def _chosen(path: Path, known: Sequence[str], split: str | None, role: Role) -> tuple[str, ...]:
    keeps_test = role not in ("synthetic", "scored")
    if path.is_file():
        if split is not None:
            expected = f"one COCO file has no splits, so no '{split}'; give its name alone, or the data set's folder"
            raise DatasetError([Fault(file=str(path), expected=expected)])
        if keeps_test and split_of_name(path.stem) == "test":
            raise DatasetError([Fault(file=str(path), expected=_KEPT_APART)])
        return ()
    if split is not None:
        if keeps_test and split_of_name(split) == "test":
            raise DatasetError([Fault(file=f"{path}:{split}", expected=_KEPT_APART)])
        return (split,)
    if role == "synthetic":
        return tuple(known)
    train, val, test = (splits_of_kind(known, kind) for kind in ("train", "val", "test"))
    others = [name for name in known if split_of_name(name) != "test"]
    if role == "scored":
        chosen = test or val or list(known)
    elif role == "validation":
        chosen = val
    else:
        chosen = train or [name for name in others if split_of_name(name) != "val"]
    if not chosen and len(known) == 1:
        chosen = others
    if not chosen:
        named = f"which split? Name one: {', '.join(f'{path}:{name}' for name in others)}"
        raise DatasetError([Fault(file=str(path), expected=named if others else _KEPT_APART)])
    return tuple(chosen)


def _joined(parts: Sequence[DetectionDataset]) -> DetectionDataset:
    """Put splits together that may list their categories in another order, or not all of them."""
    names = tuple(dict.fromkeys(name for part in parts for name in part.categories))

    def widened(part: DetectionDataset) -> DetectionDataset:
        missing = tuple(name for name in names if name not in part.categories)
        whole = DetectionDataset(categories=(*part.categories, *missing), samples=part.samples)
        return choose_categories(whole, names, where="")

    return reduce(DetectionDataset.joined, map(widened, parts))
