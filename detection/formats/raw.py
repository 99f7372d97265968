"""What readers of foreign data sets hand on, before anything of it is trusted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Literal

Done = Literal["mended", "dropped", "kept"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing in a source that is not as it should be, and what became of it.

    `what` is the same words for the same kind of case; `found` is what was there. Of what was dropped, `lost_pictures`
    and `lost_objects` say how many: summed over all cases they are all that did not come in. "kept" is worth knowing,
    but nothing was changed.
    """

    file: str
    what: str
    done: Done
    place: str = ""
    found: str = ""
    lost_pictures: int = 0
    lost_objects: int = 0

    def example(self) -> str:
        """Say where it is and what was found."""
        return ": ".join(part for part in (self.file, self.place, self.found) if part not in ("", "."))


def number_of(value: object) -> float:
    """Read a number, of a cell, an element or a JSON value; NaN where it is none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.nan


def size_of(width: object, height: object) -> tuple[int, int] | None:
    """Read the size that a source claims; None unless both are numbers."""
    sides = number_of(width), number_of(height)
    return (int(sides[0]), int(sides[1])) if all(map(math.isfinite, sides)) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawObject:
    """An object as the source has it.

    `box` is x_min, y_min, x_max, y_max in pixels, or in shares of the picture's sides where the picture is `relative`;
    numbers that could not be read are NaN. `segmentation` is in COCO's form and the same unit. `place` says where in
    the file it stands.
    """

    category: str
    box: tuple[float, float, float, float]
    place: str
    segmentation: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPicture:
    """A picture that the source names or holds, and what it says of it.

    `path` is relative to the source; None where there is no such picture, or where any of `rivals` may be meant. Of
    several that mean one picture that of the lowest `looseness` does (matching.py). `file` and `place` say where it is
    named. `size_wh` is what the source claims. `unlabelled` are categories of which it may show more than is labelled.
    """

    name: str
    file: str
    path: PurePosixPath | None = None
    place: str = ""
    size_wh: tuple[int, int] | None = None
    split: str | None = None
    objects: Sequence[RawObject] = ()
    relative: bool = False
    unlabelled: Sequence[str] = ()
    looseness: int = 0
    rivals: tuple[PurePosixPath, ...] = ()

    def joined(self, others: Iterable[RawPicture]) -> RawPicture:
        """Add what others say of the same picture."""
        all_of_it = (self, *others)
        return replace(
            self,
            objects=[item for each in all_of_it for item in each.objects],
            unlabelled=[name for each in all_of_it for name in each.unlabelled],
        )


def categories_of(pictures: Iterable[RawPicture]) -> list[str]:
    """Name the categories of all objects, sorted."""
    return sorted({item.category for picture in pictures for item in picture.objects} - {""})


class Cases(list[Case]):
    """Cases in the order in which they are found: whoever finds one writes it down here."""

    def note(self, done: Done, file: object, what: str, found: object = "", place: str = "", **lost: int) -> None:
        """Note a case; `lost` are `lost_pictures` and `lost_objects`."""
        self.append(Case(file=str(file), what=what, done=done, place=place, found=str(found), **lost))

    def dropped(
        self, file: object, what: str, found: object = "", place: str = "", *, pictures: int = 0, objects: int = 0
    ) -> None:
        """Note what did not come in: so many pictures and objects."""
        self.note("dropped", file, what, found, place, lost_pictures=pictures, lost_objects=objects)

    def mended(self, file: object, what: str, found: object = "", place: str = "") -> None:
        """Note what came in other than it was."""
        self.note("mended", file, what, found, place)

    def kept(self, file: object, what: str, found: object = "", place: str = "") -> None:
        """Note what is worth knowing, and was not changed."""
        self.note("kept", file, what, found, place)

    def lost(self, picture: RawPicture, what: str, found: object) -> None:
        """Note a picture that is dropped with its objects."""
        self.dropped(picture.file, what, found, picture.place, pictures=1, objects=len(picture.objects))


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSet:
    """All that a source holds: every picture and object is in `pictures`, or lost in one of the `cases`.

    `categories` are those that the source declares, in its order. `one_based` where pixels are counted from 1.
    """

    categories: Sequence[str]
    pictures: Sequence[RawPicture]
    cases: Cases
    one_based: bool = False

    @property
    def num_pictures(self) -> int:
        """Pictures in the source, also those that could not be read."""
        return len(self.pictures) + sum(case.lost_pictures for case in self.cases)

    @property
    def num_objects(self) -> int:
        """Objects in the source, also those that could not be read."""
        return sum(len(picture.objects) for picture in self.pictures) + sum(case.lost_objects for case in self.cases)
