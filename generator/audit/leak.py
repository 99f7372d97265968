"""The audit of a data set: what probes tell of its decoys, and of its objects when these are hidden.

Decoys say it plainest: they show what an untouched place shows, so whatever a probe finds is a trace of painting.
Around objects the ring alone is judged, with the object's own pixels hidden and the same pixels of the untouched place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from generator.audit.places import Place, draw_untouched
from generator.audit.probe import Auc, Probed, probe
from generator.decoding import decode_rgb
from generator.errors import DatasetError, Fault
from generator.geometry import Box
from generator.pictures import spread, tile
from generator.record import ObjectRecord, PaintRecord, SceneRecord, decode_mask, read_record
from generator.seeds import derive_rng, derive_seed
from generator.storage import atomic_writer, write_json

# Pixels around an object's mask that are hidden, too: its soft edge and its shadow.
HIDDEN_BORDER_PX = 4
SCHEMA_VERSION = 1
AUDIT, AUDIT_PICTURE = "audit.json", "audit.png"
SHOWN, SHOWN_COLUMNS, SHOWN_PX, SHOWN_BORDER = 24, 6, 180, 0.35
_PLACES, _DECOYS, _OBJECTS = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeakReport:
    """What the probes found; None where there were too few places to say anything.

    `suspicious`: painted places of both kinds, the most conspicuous first.
    """

    decoys: Probed | None
    objects: Probed | None
    pictures: int
    suspicious: tuple[Place, ...]

    @property
    def leak(self) -> Auc | None:
        """AUC of the better probe on decoys, or where there are none, on objects."""
        found = self.decoys or self.objects
        return found.leak if found is not None else None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        kinds = {"decoys": self.decoys, "objects": self.objects}
        return {"pictures": self.pictures, **{name: _plain(found) for name, found in kinds.items()}}


def audit_folder(folder: Path, *, scenes: int | None = None, with_network: bool = True, seed: int = 0) -> LeakReport:
    """Audit a run folder, or so many of its scenes, and leave audit.json and audit.png there.

    Raises DatasetError where no finished scene is in it.
    """
    paths = sorted((folder / "records").glob("*.json"))
    if not paths:
        expected = "no records/ of `boxpaint generate` are in it; only painted data sets can be audited"
        raise DatasetError([Fault(file=str(folder), expected=expected)])
    records = [read_record(paths[place]) for place in spread(len(paths), scenes or len(paths))]
    report = audit_scenes(records, folder / "images", seed=seed, with_network=with_network)
    write_json(folder / AUDIT, {"schema_version": SCHEMA_VERSION, "seed": seed, **report.to_json()})
    picture = draw_suspicious(report.suspicious)
    if picture is not None:
        with atomic_writer(folder / AUDIT_PICTURE) as stream:
            picture.save(stream, "PNG")
    return report


def audit_scenes(records: Sequence[SceneRecord], images: Path, *, seed: int, with_network: bool = True) -> LeakReport:
    """Audit finished scenes whose pictures lie in `images`. Raises DatasetError when one cannot be read."""
    decoys: list[Place] = []
    objects: list[Place] = []
    for number, record in enumerate(records):
        picture = _read(images / record.file_name)
        rng = derive_rng(seed, _PLACES, record.index)
        painted = [item for item in (*record.objects, *record.decoys) if not item.dropped]
        regions = [Box.from_xyxy(*item.region) for item in painted]
        for kind, items in ((decoys, record.decoys), (objects, record.objects)):
            places = [_place(item, picture, number) for item in items if not item.dropped]
            kind += [place for pair in draw_untouched(places, regions, rng) for place in pair]
    found = [
        probe(places, seed=derive_seed(seed, kind), with_network=with_network)
        for places, kind in ((decoys, _DECOYS), (objects, _OBJECTS))
    ]
    return LeakReport(
        decoys=found[0],
        objects=found[1],
        pictures=len(records),
        suspicious=tuple(_most_suspicious(zip((decoys, objects), found, strict=True))),
    )


def draw_suspicious(places: Sequence[Place]) -> Image.Image | None:
    """Lay out the most conspicuous places, each with its surroundings; None without any."""
    shown = [_surroundings(place) for place in places[:SHOWN]]
    return tile(shown, columns=min(SHOWN_COLUMNS, len(shown)), cell_width=SHOWN_PX) if shown else None


def _place(item: PaintRecord, picture: np.ndarray, group: int) -> Place:
    box, hidden = Box.from_xyxy(*item.region), None
    if isinstance(item, ObjectRecord) and item.mask is not None:
        border = 2 * HIDDEN_BORDER_PX + 1
        mask = cv2.dilate(decode_mask(item.mask).astype(np.uint8), np.ones((border, border), np.uint8))
        hidden = mask[box.slices].astype(bool)
    return Place(picture=picture, box=box, group=group, is_painted=True, hidden=hidden)


def _most_suspicious(kinds: Iterable[tuple[list[Place], Probed | None]]) -> list[Place]:
    ranked = [
        (suspicion, number, place)
        for number, (places, found) in enumerate(kinds)
        if found is not None
        for place, suspicion in zip(places, found.suspicion, strict=True)
        if place.is_painted and np.isfinite(suspicion)
    ]
    return [place for _, _, place in sorted(ranked, key=lambda each: (-each[0], each[1]))]


def _surroundings(place: Place) -> Image.Image:
    """A square around a place, without any mark: the eye is to find the seam itself."""
    box, (height, width) = place.box, place.picture.shape[:2]
    side = min(round(max(box.width, box.height) * (1 + 2 * SHOWN_BORDER)), height, width)
    x = int(np.clip((box.x_min + box.x_max - side) // 2, 0, width - side))
    y = int(np.clip((box.y_min + box.y_max - side) // 2, 0, height - side))
    return Image.fromarray(place.picture[y : y + side, x : x + side]).resize(
        (SHOWN_PX, SHOWN_PX), Image.Resampling.LANCZOS
    )


def _read(path: Path) -> np.ndarray:
    try:
        return np.asarray(decode_rgb(path.read_bytes()))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DatasetError([Fault(file=str(path), expected=f"cannot be read: {reason}")]) from None


def _plain(found: Probed | None) -> dict[str, Any] | None:
    if found is None:
        return None
    auc = {
        name: {"auc": round(each.value, 4), "low": round(each.low, 4), "high": round(each.high, 4)}
        for name, each in found.auc.items()
    }
    return {"places": found.places, "pictures": found.pictures, **auc}
