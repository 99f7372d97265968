"""Labelled pictures on their way out: unlike a DetectionDataset they keep ids, crowds and every field of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Category:
    """One class. `content` is the category as the COCO file has it."""

    id: int
    name: str
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Annotation:
    """One label.

    `box_xywh`: left, top, width, height in pixels, cut to the picture, of positive area. `segmentation`: COCO polygons,
    a run-length encoding, or None. `score`: how sure a second model was of the class, 0 to 1; None where none looked.
    `content` is the annotation as the COCO file has it.
    """

    id: int
    category: Category
    box_xywh: tuple[float, float, float, float]
    area: float
    segmentation: Any
    is_crowd: bool
    score: float | None
    content: Mapping[str, Any]

    @property
    def box_xyxy(self) -> tuple[float, float, float, float]:
        """The box as x_min, y_min, x_max, y_max, in pixels."""
        left, top, width, height = self.box_xywh
        return left, top, left + width, top + height


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """One picture with its labels.

    `path` is where it lies, `name` what it is called in every export: a file name without folders, of which no other
    picture has the stem. `source` is "synthetic" or "real", `caption` the prompt of the scene; None where it is not
    known. `content` is the image as the COCO file has it.
    """

    id: int
    path: Path
    name: str
    split: str
    width: int
    height: int
    annotations: tuple[Annotation, ...]
    content: Mapping[str, Any]
    source: str | None = None
    caption: str | None = None

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return Path(self.name).stem

    @property
    def objects(self) -> tuple[Annotation, ...]:
        """The labels that mark one object each: all but crowds."""
        return tuple(item for item in self.annotations if not item.is_crowd)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureSet:
    """A data set on its way out.

    `heads`: for each split, in their order, what its COCO file holds beside the lists: info, licenses. `notes` say in
    a sentence each what was left out or changed on the way.
    """

    categories: tuple[Category, ...]
    pictures: tuple[Picture, ...]
    heads: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...] = ()

    def splits(self) -> dict[str, list[Picture]]:
        """The pictures of each split."""
        found: dict[str, list[Picture]] = {split: [] for split in self.heads}
        for picture in self.pictures:
            found[picture.split].append(picture)
        return found

    def numbers(self) -> dict[int, int]:
        """Position of each category, from 0, by its id."""
        return {category.id: position for position, category in enumerate(self.categories)}

    def with_pictures(self, pictures: Sequence[Picture], *notes: str) -> PictureSet:
        """Give it other pictures, and say why."""
        return replace(self, pictures=tuple(pictures), notes=(*self.notes, *notes))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How to export.

    `min_score`: labels of which a second model was less sure go. `classes`: only these, in this order (none: all).
    `max_images`: so many pictures, evenly spread over splits and set; `balanced`: chosen so that the classes are as
    even as they can be. `copy`: no hard links. `margin`: of crops, as a share of the box's sides, on each side.
    `shard_size`: pictures in a tar file.
    """

    min_score: float | None = None
    classes: tuple[str, ...] = ()
    max_images: int | None = None
    balanced: bool = False
    seed: int = 0
    copy: bool = False
    overwrite: bool = False
    margin: float = 0.0
    shard_size: int = 1000
