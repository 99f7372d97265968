"""The audit of a data set: what probes tell of its decoys, and of its objects when these are hidden.

Decoys say it plainest: they show what an untouched place shows, so whatever a probe finds is a trace of painting.
Around objects the ring alone is judged, with the object's own pixels hidden and the same pixels of the untouched place;
once more among decoys, which is what a detector is up against that would learn the seam instead of the object.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from generator.audit.files import AUDIT, AUDIT_PICTURE, Audit
from generator.audit.places import Place, centres_of, draw_untouched, pair_with_decoys
from generator.audit.probe import Probed, probe
from generator.dataset.pictures import spread, tile
from generator.dataset.record import ObjectRecord, PaintRecord, SceneRecord, decode_mask, read_record
from generator.foundation.decoding import decode_rgb
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.geometry import Box
from generator.foundation.run_folder import add_kind
from generator.foundation.seeds import derive_rng, derive_seed
from generator.foundation.storage import atomic_writer, check_writable, list_folder, translate_os_errors, write_json

# Pixels around an object's mask that are hidden, too: its soft edge and its shadow.
HIDDEN_BORDER_PX = 4
SHOWN, SHOWN_COLUMNS, SHOWN_PX, SHOWN_BORDER = 24, 6, 180, 0.35
_PLACES, _AMONG = 0, 1
KINDS = ("decoys", "objects", "objects among decoys")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeakReport:
    """What the probes found of each kind of place (KINDS), and painted places, the most conspicuous first."""

    audit: Audit
    suspicious: tuple[Place, ...]


@dataclass(slots=True, kw_only=True, eq=False)
class PaintedPlaces:
    """Places that were painted, picture by picture; each picture brings its random numbers."""

    pictures: list[tuple[Sequence[Place], Sequence[Place], Sequence[Box], np.random.Generator]] = field(
        default_factory=list
    )

    def add_picture(
        self, decoys: Sequence[Place], objects: Sequence[Place], rng: np.random.Generator, *, real: Sequence[Box] = ()
    ) -> None:
        """Add the places that were painted in one picture; `real` are the boxes of objects that were in its photo.

        Nothing was painted there, but a place with an object in it is no match for one without.
        """
        self.pictures.append((decoys, objects, real, rng))

    def probe(self, *, seed: int, with_network: bool = True) -> LeakReport:
        """Pair each place with an untouched one as far as there is room, and train probes on each kind of place."""
        rng = derive_rng(seed, _AMONG)
        of_decoys = centres_of(place for decoys, *_ in self.pictures for place in decoys)
        of_objects = centres_of(place for _, objects, *_ in self.pictures for place in objects)
        paired_decoys: list[tuple[Place, Place]] = []
        paired_objects: list[tuple[Place, Place]] = []
        for decoys, objects, real, own_rng in self.pictures:
            occupied = [*(place.box for place in (*decoys, *objects)), *real]
            paired_decoys += draw_untouched(decoys, occupied, of_decoys, own_rng)
            paired_objects += draw_untouched(objects, occupied, of_objects, own_rng)
        pairs = {
            "decoys": paired_decoys,
            "objects": paired_objects,
            "objects among decoys": pair_with_decoys(paired_objects, [decoy for decoy, _ in paired_decoys], rng),
        }
        places = {kind: [place for pair in each for place in pair] for kind, each in pairs.items()}
        found = {
            kind: probe(places[kind], seed=derive_seed(seed, number), with_network=with_network)
            for number, kind in enumerate(KINDS)
        }
        audit = Audit(
            pictures=len(self.pictures),
            seed=seed,
            found={kind: each.finding for kind, each in found.items()},
            compared={kind: each.compared for kind, each in found.items()},
        )
        judged = [(places[kind], found[kind]) for kind in ("decoys", "objects")]
        return LeakReport(audit=audit, suspicious=tuple(_most_suspicious(judged)))


def audit_folder(folder: Path, *, scenes: int | None = None, with_network: bool = True, seed: int = 0) -> LeakReport:
    """Audit a run folder, or so many of its scenes evenly spread; `write_audit` keeps what was found.

    Raises DatasetError where no finished scene is in it.
    """
    names = sorted(entry.name for entry in list_folder(folder / "records") if entry.name.endswith(".json"))
    if not names:
        missing = "no records/ are in it" if folder.is_dir() else "there is no such folder"
        expected = add_kind(f"{missing}; only what `boxpaint generate` painted can be audited", folder)
        raise DatasetError([Fault(file=str(folder), expected=expected)])
    check_writable(folder)
    chosen = [names[place] for place in spread(len(names), scenes or len(names))]
    records = [read_record(folder / "records" / name) for name in chosen]
    return audit_scenes(records, folder / "images", seed=seed, with_network=with_network)


def write_audit(folder: Path, report: LeakReport) -> None:
    """Write audit.json and audit.png of a run folder, in place of what was there. Raises StorageError."""
    write_json(folder / AUDIT, report.audit.model_dump(mode="json"))
    picture, path = draw_suspicious(report.suspicious), folder / AUDIT_PICTURE
    if picture is None:
        with translate_os_errors(path):
            path.unlink(missing_ok=True)
        return
    with atomic_writer(path) as stream:
        picture.save(stream, "PNG")


def audit_scenes(records: Sequence[SceneRecord], images: Path, *, seed: int, with_network: bool = True) -> LeakReport:
    """Audit finished scenes whose pictures lie in `images`. Raises DatasetError when one cannot be read."""
    painted = PaintedPlaces()
    for number, record in enumerate(records):
        picture = _read(images / record.file_name)
        decoys, objects = (
            [_place(item, picture, number) for item in items if not item.dropped]
            for items in (record.decoys, record.objects)
        )
        painted.add_picture(decoys, objects, derive_rng(seed, _PLACES, record.index), real=_real_boxes(record))
    return painted.probe(seed=seed, with_network=with_network)


def draw_suspicious(places: Sequence[Place]) -> Image.Image | None:
    """Lay out the most conspicuous places, each with its surroundings; None without any."""
    shown = [_surroundings(place) for place in places[:SHOWN]]
    return tile(shown, columns=min(SHOWN_COLUMNS, len(shown)), cell_width=SHOWN_PX) if shown else None


def _real_boxes(record: SceneRecord) -> list[Box]:
    """Where nothing was painted since an object was there, labelled or only seen."""
    if record.photo is None:
        return []
    kept = (item.box for item in record.photo.objects if item.is_kept)
    return [Box.from_xyxy(*box) for box in (*kept, *(item.box for item in record.photo.seen))]


def _place(item: PaintRecord, picture: np.ndarray, group: int) -> Place:
    box, hidden = Box.from_xyxy(*item.region), None
    if isinstance(item, ObjectRecord) and item.mask is not None:
        hidden = hidden_pixels(decode_mask(item.mask))[box.slices]
    return Place(picture=picture, box=box, group=group, is_painted=True, hidden=hidden, category=item.category)


def hidden_pixels(mask: np.ndarray) -> np.ndarray:
    """The pixels of an object (HW bool) and those around it that show it, too: its soft edge and its shadow."""
    border = 2 * HIDDEN_BORDER_PX + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((border, border), np.uint8)).astype(bool)


def _most_suspicious(kinds: Iterable[tuple[list[Place], Probed]]) -> list[Place]:
    ranked = [
        (suspicion, number, place)
        for number, (places, found) in enumerate(kinds)
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
