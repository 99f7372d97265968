"""Pictures to segment: a folder of them, or those of a data set with labels; and what is found in them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detection.datasets.read import read_rgb
from detection.datasets.types import DetectionDataset
from detection.detectors.types import Detections, Predictor
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.storage import translate_os_errors
from generator.spec.references import SUFFIXES

# Pictures that are in memory at once, each with a mask for every object.
_BATCH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPicture:
    """A picture on disk; `name` is relative to where it was found, `size_wh` what its labels say, if it has some."""

    name: str
    path: Path
    size_wh: tuple[int, int] | None = None


def is_data_set(source: str) -> bool:
    """Whether this means a data set in COCO form: such a file, a folder with annotations/*.json, or FOLDER:SPLIT."""
    path = Path(source)
    if path.is_dir():
        return any((path / "annotations").glob("*.json"))
    folder, colon, _ = source.rpartition(":")
    return path.suffix == ".json" or (bool(colon) and not path.exists() and Path(folder).is_dir())


def find_pictures(source: Path, *, skip: Path | None = None) -> list[NamedPicture]:
    """The picture, or all of a folder and the folders below it, by name; not hidden ones, nor those below `skip`.

    Raises DatasetError when there is none.
    """
    if source.is_file():
        return [NamedPicture(name=source.name, path=source)]
    if not source.is_dir():
        raise DatasetError([Fault(file=str(source), expected="there is no such picture or folder")])
    with translate_os_errors(source):
        paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    found = [NamedPicture(name=path.relative_to(source).as_posix(), path=path) for path in paths]
    visible = [each for each in found if not any(part.startswith(".") for part in each.name.split("/"))]
    if skip is not None:
        visible = [each for each in visible if not each.path.resolve().is_relative_to(skip.resolve())]
    if not visible:
        raise DatasetError([Fault(file=str(source), expected=f"no pictures are in it ({', '.join(SUFFIXES)})")])
    return visible


def labelled_pictures(data: DetectionDataset) -> list[NamedPicture]:
    """The pictures of a data set (one or more), by name below the folder that holds them all."""
    # Without "..", which some sets have in their names: names of results are made of these.
    paths = [Path(os.path.normpath(Path.cwd() / sample.path)) for sample in data.samples]
    root = os.path.commonpath([path.parent for path in paths])
    return [
        NamedPicture(name=path.relative_to(root).as_posix(), path=sample.path, size_wh=(sample.width, sample.height))
        for path, sample in zip(paths, data.samples, strict=True)
    ]


def find_masks(
    detector: Predictor, pictures: Sequence[NamedPicture], unreadable: dict[str, str], *, with_masks: bool = True
) -> Iterator[tuple[NamedPicture, np.ndarray, Detections]]:
    """Find objects in one picture after the other: the picture, its pixels (H, W, 3) uint8, and what is on it.

    Without `with_masks` boxes alone. A picture that cannot be read is left out and put into `unreadable`, name and
    reason; one with labels is an error, for it would be missing from scores. Raises DatasetError, ModelError.
    """
    for start in range(0, len(pictures), _BATCH):
        sound: list[tuple[NamedPicture, np.ndarray]] = []
        for picture in pictures[start : start + _BATCH]:
            try:
                sound.append((picture, read_rgb(picture.path, labelled_wh=picture.size_wh)))
            except DatasetError as error:
                if picture.size_wh is not None:
                    raise
                unreadable[picture.name] = error.faults[0].expected
        answers = detector.predict([pixels for _, pixels in sound], with_masks=with_masks)
        for (picture, pixels), answer in zip(sound, answers, strict=True):
            yield picture, pixels, answer
