"""Pictures to look at, a folder of them or those of a data set with labels, and what a detector finds in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from detection.datasets.read import read_rgb
from detection.datasets.types import DetectionDataset, Detections
from detection.detectors.types import Predictor
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.geometry import Box, box_iou
from generator.foundation.storage import translate_os_errors
from generator.spec.references import SUFFIXES

# Pictures that are in memory at once, each with a mask for every object; and without masks, of a data set.
_BATCH, _BATCH_OF_BOXES = 4, 16
# A box that shares more with a surer one is of the same object, whatever class it was found as.
SAME_OBJECT_IOU = 0.6


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

    Of a data set only its images/ are looked through: what lies beside them shows them again. Raises DatasetError when
    there is none.
    """
    if source.is_file():
        return [NamedPicture(name=source.name, path=source)]
    if not source.is_dir():
        raise DatasetError([Fault(file=str(source), expected="there is no such picture or folder")])
    with translate_os_errors(source):
        images = source / "images"
        folder = images if images.is_dir() and is_data_set(str(source)) else source
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
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


def find_each(
    detector: Predictor,
    pictures: Sequence[NamedPicture],
    unreadable: dict[str, str],
    *,
    with_masks: bool = True,
    batch: int = _BATCH,
) -> Iterator[tuple[NamedPicture, np.ndarray, Detections]]:
    """Find objects in one picture after the other: the picture, its pixels (H, W, 3) uint8, and what is on it.

    Without `with_masks` boxes alone. A picture that cannot be read is left out and put into `unreadable`, name and
    reason; one with labels is an error, for it would be missing from scores. Raises DatasetError, also when none can be
    read, and ModelError.
    """
    for start in range(0, len(pictures), batch):
        sound: list[tuple[NamedPicture, np.ndarray]] = []
        for picture in pictures[start : start + batch]:
            try:
                sound.append((picture, read_rgb(picture.path, labelled_wh=picture.size_wh)))
            except DatasetError as error:
                if picture.size_wh is not None:
                    raise
                unreadable[picture.name] = error.faults[0].expected
        answers = detector.predict([pixels for _, pixels in sound], with_masks=with_masks)
        for (picture, pixels), answer in zip(sound, answers, strict=True):
            yield picture, pixels, answer
    if unreadable and len(unreadable) == len(pictures):
        expected = f"none of the {len(pictures)} pictures can be read; the first: {unreadable[pictures[0].name]}"
        raise DatasetError([Fault(file=str(pictures[0].path), expected=expected)])


def find_objects(
    detector: Predictor, data: DetectionDataset, on_picture: Callable[[int], None] = lambda _: None
) -> list[Detections]:
    """Find objects in every picture of a data set, in its order; `on_picture` is told how many are done.

    Without masks: those of a thousand photos are more than fits into memory; see `PackedDetections`. Raises
    DatasetError naming a picture that cannot be read or is not of the size that its labels are for, ModelError.
    """
    pictures = [
        NamedPicture(name=str(each.path), path=each.path, size_wh=(each.width, each.height)) for each in data.samples
    ]
    found = []
    for _, _, answer in find_each(detector, pictures, {}, with_masks=False, batch=_BATCH_OF_BOXES):
        found.append(answer)
        on_picture(len(found))
    return found


class ChosenClasses:
    """Finds what another one does, of some of its categories alone. Raises DatasetError for one that it lacks."""

    def __init__(self, predictor: Predictor, names: Sequence[str]):
        numbers = {name.casefold(): number for number, name in enumerate(predictor.categories, start=1)}
        unknown = [name for name in names if name.casefold() not in numbers]
        if unknown:
            expected = f"no class of this run; its classes: {', '.join(predictor.categories)}"
            raise DatasetError([Fault(file="--classes", found=", ".join(unknown), expected=expected)])
        self._predictor = predictor
        chosen = [numbers[name.casefold()] for name in names]
        self.categories = tuple(predictor.categories[number - 1] for number in chosen)
        self._new = np.zeros(len(predictor.categories) + 1, np.int64)
        self._new[chosen] = np.arange(1, len(chosen) + 1)

    def predict(self, pictures: Sequence[np.ndarray], *, with_masks: bool = True) -> list[Detections]:
        """Find objects of these categories."""
        answers = self._predictor.predict(pictures, with_masks=with_masks)
        renumbered = [replace(found, labels=self._new[found.labels]) for found in answers]
        return [found.choose(found.labels > 0) for found in renumbered]


class WordFinder(Protocol):
    """Finds what texts say in a picture (HWC uint8 RGB): boxes, surest first (generator/models/vision_language.py)."""

    def find(self, picture: np.ndarray, texts: Sequence[str]) -> list[tuple[Box, float]]:
        """Find what any of the texts describes."""
        ...


class WordPredictor:
    """Finds objects by an open-vocabulary detector; `texts` are the words for each category."""

    def __init__(self, finder: WordFinder, texts: Mapping[str, Sequence[str]]):
        self.categories = tuple(texts)
        self._finder = finder
        self._texts = texts

    def predict(self, pictures: Sequence[np.ndarray], *, with_masks: bool = True) -> list[Detections]:  # noqa: ARG002
        """Find objects, each as the class that fits it best; it gives no masks."""
        return [self._find(picture) for picture in pictures]

    def _find(self, picture: np.ndarray) -> Detections:
        found = [
            (box, score, label)
            for label, name in enumerate(self.categories, start=1)
            for box, score in self._finder.find(picture, self._texts[name])
        ]
        kept: list[tuple[Box, float, int]] = []
        for each in sorted(found, key=lambda item: -item[1]):
            if all(box_iou(each[0], other[0]) < SAME_OBJECT_IOU for other in kept):
                kept.append(each)
        return Detections(
            boxes_xyxy=np.array([box.xyxy for box, _, _ in kept], np.float32).reshape(-1, 4),
            labels=np.array([label for _, _, label in kept], np.int64),
            scores=np.array([score for _, score, _ in kept], np.float32),
        )
