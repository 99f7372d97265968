"""Real photos that are painted into: which ones a cell means, how large they are, and what is labelled in them.

The cell `photos` of background.csv holds a folder of pictures, or `coco:PATH#split`, where PATH is the folder of a COCO
data set, or `coco:FILE` for one annotation file. Relative paths count as those of `references` do.

Photos keep their split: those of val and test are refused here, since what is painted into them would be trained on.
Only the heads of the files are read; `examine_photos` decodes them, before painting and by `boxpaint check-spec`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from generator.foundation.coco import (
    NOT_EXHAUSTIVE,
    CocoFile,
    find_annotation_files,
    locate_picture,
    missing_picture,
    read_coco,
)
from generator.foundation.decoding import decode_rgb, upright_size
from generator.foundation.errors import DatasetError, Fault, SpecError
from generator.foundation.near_duplicates import HASH_BITS, group_hashes, picture_hash
from generator.foundation.split_names import split_of_name, split_of_word
from generator.spec.references import COCO_PREFIX, find_references

if TYPE_CHECKING:
    from generator.spec import BackgroundSpec, Spec

Flip = Literal["none", "horizontal", "vertical", "both"]
# What may become of a photo, by the cell `flip`.
FLIPS: Mapping[str, tuple[Flip, ...]] = {
    "none": ("none",),
    "horizontal": ("none", "horizontal"),
    "vertical": ("none", "vertical"),
    "both": ("none", "horizontal", "vertical", "both"),
}
# A smaller part of a photo shows another world: of 640 x 480 px a tenth is 64 x 48.
LEAST_CROP = 0.1
DEFAULT_SCENE = "a photo"
_PREFIX = "instances_"
_FORM = "a folder of pictures, or coco:PATH#split, is needed"
_SHOWN = 3
# Enlarged more, a photo is softer than what is painted into it.
_ENLARGED = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class RealObject:
    """A labelled object of a photo.

    `box_xyxy` in pixels of the photo, inside of it, of positive area; `segmentation`: COCO polygons or a run-length
    encoding, or None.
    """

    category: str
    box_xyxy: tuple[float, float, float, float]
    segmentation: Any = None
    is_crowd: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One photo: `size_wh` as it is shown (upright), `sha256` of its file, what is labelled in it.

    `not_exhaustive`: categories of which its data set says that there may be more than is labelled.
    """

    path: Path = field(compare=False)
    name: str
    size_wh: tuple[int, int]
    sha256: str
    objects: tuple[RealObject, ...] = ()
    not_exhaustive: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 over the picture and its labels."""
        labels = [[asdict(item) for item in self.objects], self.not_exhaustive]
        return hashlib.sha256(f"{self.sha256}{json.dumps(labels, sort_keys=True)}".encode()).hexdigest()[:16]

    def read(self) -> np.ndarray:
        """Decode it: HWC uint8 RGB, upright.

        Raises DatasetError when it cannot be read, or is no longer the picture that was measured.
        """
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise DatasetError([Fault(file=str(self.path), expected=f"cannot be read: {error.strerror}")]) from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            expected = "this photo was changed while the run went on; put it back, or start again with --overwrite"
            raise DatasetError([Fault(file=str(self.path), expected=expected)])
        try:
            return np.asarray(decode_rgb(data))
        except ValueError as error:
            raise DatasetError([Fault(file=str(self.path), expected=str(error))]) from None


@dataclass(frozen=True, kw_only=True)
class PhotoSet:
    """The photos of a row of background.csv.

    `apart`: (split, picture) of the other splits of their data set, which no photo should be nearly the same as;
    `cell`: how they were named.
    """

    photos: tuple[Photo, ...]
    cell: str = field(default="", compare=False)
    apart: tuple[tuple[str, Path], ...] = field(default=(), compare=False)

    @cached_property
    def most_objects(self) -> int:
        """Labelled objects of the photo that has most of them."""
        return max(len(photo.objects) for photo in self.photos)

    def to_json(self) -> list[dict[str, str]]:
        """Name and digest of each photo: where they lie does not count."""
        return [{"name": photo.name, "digest": photo.digest} for photo in self.photos]

    def named_as(self, categories: Iterable[str]) -> PhotoSet:
        """Call objects by the names of these categories where they differ in case only."""
        known = {name.casefold(): name for name in categories}

        def renamed(photo: Photo) -> Photo:
            objects = (
                replace(item, category=known.get(item.category.casefold(), item.category)) for item in photo.objects
            )
            lacking = (known.get(name.casefold(), name) for name in photo.not_exhaustive)
            return replace(photo, objects=tuple(objects), not_exhaustive=tuple(lacking))

        return replace(self, photos=tuple(map(renamed, self.photos)))


def find_photos(cell: str, folder: Path) -> PhotoSet:
    """List and measure the photos that a cell of background.csv means, in the order of their names.

    Raises ValueError with what is wrong, for the caller to name the line.
    """
    try:
        found = _find_in_coco(cell, folder) if cell.startswith(COCO_PREFIX) else _find_in_folder(cell, folder)
        return replace(found, cell=cell)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def measure_photo(
    path: Path, *, name: str, objects: Sequence[RealObject] = (), not_exhaustive: Sequence[str] = ()
) -> Photo:
    """Measure one photo by the head of its file. Raises ValueError when it is no picture that is read here."""
    data = path.read_bytes()
    try:
        size_wh = upright_size(data)
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None
    return Photo(
        path=path,
        name=name,
        size_wh=size_wh,
        sha256=hashlib.sha256(data).hexdigest(),
        objects=tuple(objects),
        not_exhaustive=tuple(not_exhaustive),
    )


def examine_photos(spec: Spec, canvas_wh: tuple[int, int]) -> list[str]:
    """Decode every photo of a spec, and say what its user should know before it is painted into.

    That are objects of no class of the spec, photos that have to be enlarged, and near-duplicates in other splits of
    their data set. Raises SpecError with file and line for every photo that cannot be decoded.
    """
    warnings: list[str] = []
    faults: list[Fault] = []
    hashes: dict[str, np.ndarray] = {}
    for row in spec.backgrounds:
        if row.photos is None:
            continue
        place = f"{spec.background_file}:{row.line}"
        for photo in row.photos.photos:
            try:
                if photo.sha256 not in hashes:
                    hashes[photo.sha256] = picture_hash(decode_rgb(photo.path.read_bytes()))
            except (OSError, ValueError) as error:
                expected = f"{photo.path} {getattr(error, 'strerror', None) or error}"
                faults.append(
                    Fault(file=spec.background_file, line=row.line or None, column="photos", expected=expected)
                )
        warnings += (f"{place}: {text}" for text in _remarks(row, row.photos, [*spec.categories], canvas_wh))
        if not faults:
            warnings += (f"{place}: {text}" for text in _near_duplicates(row.photos, hashes))
    if faults:
        raise SpecError(faults)
    return warnings


def _remarks(
    row: BackgroundSpec, found: PhotoSet, categories: Sequence[str], canvas_wh: tuple[int, int]
) -> Iterator[str]:
    others = Counter(item.category for photo in found.photos for item in photo.objects)
    foreign = [f"{count} of {name}" for name, count in others.items() if name not in categories]
    if foreign:
        yield (
            f"labelled in these photos, but no class of classes.csv: {', '.join(foreign)}; they get no label, and are "
            "painted over where nothing else is free"
        )
    crowds = sum(item.is_crowd for photo in found.photos for item in photo.objects if item.category in categories)
    if crowds:
        yield f"{crowds} labels are of crowds, not of one object: nothing is painted there, and they get no label"
    width, height = canvas_wh
    factors = [max(width / photo.size_wh[0], height / photo.size_wh[1]) / row.min_crop for photo in found.photos]
    enlarged = [factor for factor in factors if factor > _ENLARGED]
    if enlarged:
        yield (
            f"{len(enlarged)} of {len(factors)} photos are enlarged up to {max(enlarged):.1f} times to fill the canvas "
            f"of {width} x {height} px, and come out soft: take larger ones, a smaller canvas, or a larger crop"
        )


def _near_duplicates(found: PhotoSet, hashes: Mapping[str, np.ndarray]) -> Iterator[str]:
    apart: list[tuple[str, Path]] = []
    others: list[np.ndarray] = []
    for split, path in found.apart:
        try:
            others.append(picture_hash(decode_rgb(path.read_bytes())))
        except (OSError, ValueError):  # not one of the photos; whoever reads that split will say so
            continue
        apart.append((split, path))
    if not others:
        return
    own = [hashes[photo.sha256] for photo in found.photos]
    groups = group_hashes(np.array([*own, *others], bool).reshape(-1, 2 * HASH_BITS))
    theirs = dict(zip(reversed(groups[len(own) :]), reversed(apart), strict=True))
    pairs = [
        f"{photo.name} and {theirs[group][1].name} ({theirs[group][0]})"
        for photo, group in zip(found.photos, groups, strict=False)
        if group in theirs
    ]
    if pairs:
        more = f", and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
        yield (
            f"photos that another split of their data set shows, too, nearly the same: {'; '.join(pairs[:_SHOWN])}"
            f"{more}; scores on that split will be too good"
        )


def _find_in_folder(cell: str, folder: Path) -> PhotoSet:
    place = folder / cell
    if not place.is_dir():
        raise ValueError(f"there is no such folder; {_FORM}")
    # The photos of a data set lie together, whatever their split: its files say which is which, and what they show.
    for root in (place, place.parent):
        if (root / "annotations").is_dir() and (splits := _splits_of(root)):
            raise ValueError(f"these are pictures of a data set; name one of its splits: {_choices(root, splits)}")
    _refuse_kept(split_of_word(place.resolve().name), place.name, "")
    found = find_references(cell, folder)
    return PhotoSet(
        photos=tuple(measure_photo(each.path, name=each.path.relative_to(place).as_posix()) for each in found)
    )


def _find_in_coco(cell: str, folder: Path) -> PhotoSet:
    text = cell.removeprefix(COCO_PREFIX)
    path, split = folder / text, ""
    if not text or not path.exists():
        place, _, split = text.rpartition("#")
        if not place or not split:
            raise ValueError(f"there is no {str(path)!r}; the form is coco:PATH#split")
        path = folder / place
    if path.is_file():
        if split:
            raise ValueError(f"one COCO file has no splits, so no {split!r}; give coco:FILE alone, or its data set")
        _refuse_kept(split_of_name(path.stem), path.stem, "")
        return _read(path, ())
    splits = _splits_of(path)
    if not splits:
        raise ValueError(f"there is no COCO file {str(path)!r} (nor annotations/*.json below it)")
    if not split and len(splits) > 1:
        raise ValueError(f"which split? name one: {_choices(path, splits)}")
    chosen = split.removeprefix(_PREFIX) or next(iter(splits))
    if chosen not in splits:
        raise ValueError(f"there is no split {split!r}; splits: {', '.join(splits)}")
    _refuse_kept(split_of_name(splits[chosen].stem), chosen, _choices(path, splits))
    return _read(splits[chosen], [(name, file) for name, file in splits.items() if name != chosen])


def _splits_of(root: Path) -> dict[str, Path]:
    try:
        return {file.stem.removeprefix(_PREFIX): file for file in find_annotation_files(root)}
    except DatasetError:
        return {}


def _choices(root: Path, splits: Mapping[str, Path]) -> str:
    allowed = [name for name, file in splits.items() if split_of_name(file.stem) not in ("val", "test")]
    return ", ".join(f"{COCO_PREFIX}{root}#{name}" for name in allowed) or "it has none that may be trained on"


def _refuse_kept(kind: str | None, name: str, choices: str) -> None:
    if kind in ("val", "test"):
        what = "validating" if kind == "val" else "testing"
        instead = f"; take others: {choices}" if choices else "; take photos that a training may see"
        raise ValueError(f"the photos of {name!r} are kept for {what}, and scenes are trained on{instead}")


def _read(file: Path, others: Sequence[tuple[str, Path]]) -> PhotoSet:
    try:
        photos = tuple(_photos_of(file, read_coco(file)))
        apart = tuple(
            (split, path)
            for split, other in others
            for item in read_coco(other).images
            if (path := locate_picture(other, item["file_name"])) is not None
        )
    except DatasetError as error:
        first, more = error.faults[0], len(error.faults) - 1
        raise ValueError(f"{first}{f' (and {more} more faults)' if more else ''}") from None
    if not photos:
        raise ValueError(f"{file} lists no pictures")
    return PhotoSet(photos=photos, apart=apart)


def _photos_of(file: Path, content: CocoFile) -> Iterator[Photo]:
    names = {item["id"]: item["name"] for item in content.categories}
    sizes = {item["id"]: (int(item["width"]), int(item["height"])) for item in content.images}
    of_image: dict[Any, list[RealObject]] = {number: [] for number in sizes}
    for item, image_id, category_id in content.joined()[0]:
        if image_id is None or category_id is None:
            raise ValueError(f"{file}: annotation {item['id']} is of no image or no category of the file")
        if box := _inside(item["bbox"], sizes[image_id]):
            of_image[image_id].append(
                RealObject(
                    category=names[category_id],
                    box_xyxy=box,
                    segmentation=item.get("segmentation") or None,
                    is_crowd=item["iscrowd"] == 1,
                )
            )
    for item in sorted(content.images, key=lambda item: str(item["file_name"])):
        path = locate_picture(file, item["file_name"])
        if path is None:
            raise DatasetError([missing_picture(file, item)])
        lacking = item.get(NOT_EXHAUSTIVE)
        photo = measure_photo(
            path,
            name=item["file_name"],
            objects=of_image[item["id"]],
            not_exhaustive=[names[number] for number in lacking if number in names]
            if isinstance(lacking, list)
            else (),
        )
        if photo.size_wh != sizes[item["id"]]:
            width, height = sizes[item["id"]]
            found = f"{photo.size_wh[0]} x {photo.size_wh[1]} px"
            raise ValueError(f"{path} has {found}, but its labels in {file.name} are for {width} x {height} px")
        yield photo


def _inside(bbox: Sequence[float], size_wh: tuple[int, int]) -> tuple[float, float, float, float] | None:
    x, y, width, height = map(float, bbox)
    left, top, right, bottom = max(x, 0.0), max(y, 0.0), min(x + width, size_wh[0]), min(y + height, size_wh[1])
    return (left, top, right, bottom) if right > left and bottom > top else None
