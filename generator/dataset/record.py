"""The one JSON file beside each picture that says how it was made: read by exporters, the report, a resume and people.

Boxes are [x_min, y_min, x_max, y_max] in pixels, half-open; masks are COCO run-length encodings of the whole canvas.
Nothing in it depends on when or how fast the picture was painted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pycocotools import mask as coco_mask
from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer

from generator.foundation.errors import DatasetError, Fault
from generator.foundation.geometry import box_of_mask, scaled_about_centre
from generator.labels.segmentation import mask_in_view
from generator.plan.photos import PhotoView, PresentObject
from generator.spec.photos import Flip
from generator.types import PaintedObject, Scene, Unlabelled

SCHEMA_VERSION = 2
Model = TypeVar("Model", bound=BaseModel)
BoxXyxy = tuple[int, int, int, int]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)


class VerdictRecord(_Part):
    """What one check said."""

    check: str
    passed: bool
    score: float
    reason: str


class AttemptRecord(_Part):
    """One try: its seed and its verdicts."""

    number: int
    seed: int
    verdicts: tuple[VerdictRecord, ...]


class RleRecord(_Part):
    """COCO's compressed run-length encoding; `size` is [height, width]."""

    size: tuple[int, int]
    counts: str


class PaintRecord(_Part):
    """One box that was painted in: the wish, the crop that the model saw, the region that it repainted, the attempts.

    `dropped`: why the picture was left as it was, empty where it was not.
    """

    object_index: int
    category: str
    prompt: str
    negative_prompt: str
    blender: str
    seed: int
    requested_box: BoxXyxy
    crop: BoxXyxy
    region: BoxXyxy
    attempts: tuple[AttemptRecord, ...]
    dropped: str


class ObjectRecord(PaintRecord):
    """One object, and what was really painted of it (None: dropped).

    `painted_box` is tight around the mask; the label's box has `label_scale` times its sides. What the verifier saw in
    the finished picture, where there is one: `verified_score`, the probability of the class (0 to 1), and, where it has
    boxes, `verified_box` and its `verified_box_score`.
    """

    painted_box: BoxXyxy | None
    label_scale: float
    mask: RleRecord | None
    visible_share: float | None
    verified_score: float | None
    verified_box: BoxXyxy | None
    verified_box_score: float | None

    def label_xyxy(self, size_wh: tuple[int, int]) -> tuple[float, float, float, float] | None:
        """Box of the label in a picture of this size: the painted one, scaled about its centre, cut to the picture."""
        if self.painted_box is None:
            return None
        return scaled_about_centre(self.painted_box, self.label_scale, size_wh)


class UnplacedRecord(_Part):
    """An object for which there was no room."""

    object_index: int
    category: str
    size_wh: tuple[int, int]
    reason: str


class BackgroundRecord(_Part):
    """How the scene behind the objects was painted; `taken` is the number of the attempt that was used."""

    prompt: str
    negative_prompt: str
    seed: int
    attempts: tuple[AttemptRecord, ...]
    taken: int


class RealObjectRecord(_Part):
    """An object that was in the photo: `number` is its place among the photo's labels.

    `label_box` is that of its label, to a hundredth of a pixel; `unlabelled` says why it has none, "" where it has one.
    `box` is where nothing was painted if `is_kept`. `mask` is None where the photo's data set has none.
    """

    number: int
    category: str
    box: BoxXyxy
    label_box: tuple[float, float, float, float]
    mask: RleRecord | None
    visible_share: float
    is_kept: bool
    unlabelled: str

    @property
    def is_labelled(self) -> bool:
        """Whether it comes into the annotations."""
        return not self.unlabelled


class SeenRecord(_Part):
    """An object in the photo that nobody labelled, as the verifier saw it."""

    category: str
    box: BoxXyxy
    score: float


class PhotoRecord(_Part):
    """The photo that was painted into: the part of it that the picture shows, in its own pixels, and how it is flipped.

    `not_exhaustive`: categories of which it shows, or may show, more than is labelled.
    """

    name: str
    sha256: str
    crop: BoxXyxy
    flip: Flip
    objects: tuple[RealObjectRecord, ...]
    seen: tuple[SeenRecord, ...]
    not_exhaustive: tuple[str, ...]


class SceneRecord(_Part):
    """Everything needed to repeat one picture, together with run.json; `photo` is None where all of it was painted."""

    schema_version: int
    index: int
    split: str
    file_name: str
    width: int
    height: int
    sha256: str
    batch_size: int
    background: BackgroundRecord
    objects: tuple[ObjectRecord, ...]
    decoys: tuple[PaintRecord, ...]
    unplaced: tuple[UnplacedRecord, ...]
    photo: PhotoRecord | None = None

    @property
    def real_objects(self) -> tuple[RealObjectRecord, ...]:
        """Labelled objects that were in the photo."""
        return tuple(item for item in self.photo.objects if item.is_labelled) if self.photo is not None else ()

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = handler(self)
        if self.photo is None:  # of a painted scene: it says what it said before there were photos
            del fields["photo"]
        return fields


def record_of(scene: Scene, *, file_name: str, sha256: str, batch_size: int) -> SceneRecord:
    """Describe a finished scene whose picture has been written."""
    height, width = scene.image.shape[:2]
    return SceneRecord(
        schema_version=SCHEMA_VERSION,
        index=scene.plan.index,
        split=scene.plan.split,
        file_name=file_name,
        width=width,
        height=height,
        sha256=sha256,
        batch_size=batch_size,
        background=BackgroundRecord(
            prompt=scene.plan.prompt,
            negative_prompt=scene.plan.negative_prompt,
            seed=scene.plan.seed,
            attempts=tuple(map(AttemptRecord.model_validate, scene.background_attempts)),
            taken=scene.background_taken,
        ),
        objects=tuple(_object(item, (width, height)) for item in scene.objects),
        decoys=tuple(PaintRecord(**_painted(item)) for item in scene.decoys),
        unplaced=tuple(map(UnplacedRecord.model_validate, scene.plan.unplaced)),
        photo=_photo(scene.plan.photo, scene.seen, (width, height)) if scene.plan.photo is not None else None,
    )


def read_record(path: Path) -> SceneRecord:
    """Read a record; raises DatasetError when it is not one."""
    advice = "delete this file, and the same `boxpaint generate` paints its scene again"
    return read_as(SceneRecord, path, advice)


def read_as(model: type[Model], path: Path, advice: str) -> Model:
    """Read a JSON file that we wrote; raises DatasetError with its first fault and what to do about it."""
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DatasetError([Fault(file=str(path), expected=f"cannot be read: {error.strerror}")]) from None
    except ValidationError as error:
        item = error.errors()[0]
        where = ".".join(map(str, item["loc"]))
        expected = f"{item['msg']}; {advice}"
        raise DatasetError([Fault(file=str(path), column=where or None, expected=expected)]) from None


def encode_mask(mask: np.ndarray) -> RleRecord:
    """Encode a mask (HW bool)."""
    encoded = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    height, width = encoded["size"]
    return RleRecord(size=(int(height), int(width)), counts=encoded["counts"].decode("ascii"))


def decode_mask(rle: RleRecord) -> np.ndarray:
    """Decode to HW bool."""
    decoded: np.ndarray = coco_mask.decode({"size": list(rle.size), "counts": rle.counts.encode("ascii")})
    return decoded.astype(bool)


def _photo(view: PhotoView, seen: Sequence[Unlabelled], canvas_wh: tuple[int, int]) -> PhotoRecord:
    lacking = [*view.photo.not_exhaustive, *(each.category for each in seen)]
    return PhotoRecord(
        name=view.photo.name,
        sha256=view.photo.sha256,
        crop=view.crop.xyxy,
        flip=view.flip,
        objects=tuple(_real_object(item, view, canvas_wh) for item in view.present),
        seen=tuple(SeenRecord(category=each.category, box=each.box.xyxy, score=round(each.score, 4)) for each in seen),
        not_exhaustive=tuple(dict.fromkeys(lacking)),
    )


def _real_object(item: PresentObject, view: PhotoView, canvas_wh: tuple[int, int]) -> RealObjectRecord:
    segmentation = view.photo.objects[item.number].segmentation if not item.unlabelled else None
    mask = mask_in_view(segmentation, view, canvas_wh) if segmentation else None
    tight = box_of_mask(mask) if mask is not None else None
    label_box = item.box_xyxy
    if tight is not None and item.visible_share < 1:  # the part of a box that is left need not fit what is left in it
        label_box = (float(tight.x_min), float(tight.y_min), float(tight.x_max), float(tight.y_max))
    return RealObjectRecord(
        number=item.number,
        category=item.category,
        box=item.box.xyxy,
        label_box=label_box,
        mask=encode_mask(mask) if mask is not None and tight is not None else None,
        visible_share=item.visible_share,
        is_kept=item.is_kept,
        unlabelled=item.unlabelled,
    )


def _object(item: PaintedObject, canvas_wh: tuple[int, int]) -> ObjectRecord:
    label, sighting = item.label, item.sighting
    mask = None
    if label is not None:
        canvas = np.zeros((canvas_wh[1], canvas_wh[0]), bool)
        canvas[label.painted_box.slices] = label.mask
        mask = encode_mask(canvas)
    return ObjectRecord(
        **_painted(item),
        painted_box=label.painted_box.xyxy if label else None,
        label_scale=item.placement.label_scale,
        mask=mask,
        visible_share=label.visible_share if label else None,
        verified_score=round(sighting.score, 4) if sighting else None,
        verified_box=sighting.box.xyxy if sighting and sighting.box else None,
        verified_box_score=round(sighting.box_score, 4) if sighting and sighting.box else None,
    )


def _painted(item: PaintedObject) -> dict[str, Any]:
    placement = item.placement
    return {
        "object_index": placement.object_index,
        "category": placement.category,
        "prompt": placement.prompt,
        "negative_prompt": placement.negative_prompt,
        "blender": placement.blender,
        "seed": placement.seed,
        "requested_box": placement.box.xyxy,
        "crop": item.crop.xyxy,
        "region": item.region.xyxy,
        "attempts": tuple(map(AttemptRecord.model_validate, item.attempts)),
        "dropped": item.dropped,
    }
