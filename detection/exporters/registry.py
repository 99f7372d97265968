"""The formats that can be exported. A new one is one file with `write` and `OPENING`, and one line here."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Literal, NamedTuple

from detection.exporters import coco, crops, hf, semantic, voc, webdataset, yolo, yolo_seg
from detection.exporters.types import PictureSet
from detection.exporters.work import Work
from generator.foundation.errors import DatasetError, Fault


class Exporter(NamedTuple):
    """`write` fills the folder; `opening` is how to read it in Python ({split}, {stem}, {folder} are put in).

    `needs`: a data set without any cannot be written so. `front_matter` begins the card.
    """

    write: Callable[[PictureSet, Work], None]
    opening: str
    needs: Literal["pictures", "objects", "masks"] = "pictures"
    with_captions: bool = False
    front_matter: Callable[[PictureSet], str] | None = None


EXPORTERS = {
    "coco": Exporter(coco.write, coco.OPENING),
    "yolo": Exporter(yolo.write, yolo.OPENING),
    "yolo-seg": Exporter(yolo_seg.write, yolo_seg.OPENING, needs="masks"),
    "voc": Exporter(voc.write, voc.OPENING),
    "hf": Exporter(hf.write, hf.OPENING, with_captions=True, front_matter=hf.front_matter),
    "webdataset": Exporter(webdataset.write, webdataset.OPENING, with_captions=True),
    "crops": Exporter(crops.write, crops.OPENING, needs="objects"),
    "semantic": Exporter(semantic.write, semantic.OPENING, needs="masks"),
}


def find_exporter(name: str) -> Exporter:
    """Find a format by its name. Raises DatasetError for an unknown one."""
    if name not in EXPORTERS:
        near = difflib.get_close_matches(name.lower(), EXPORTERS, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        expected = f"unknown format; {hint}known: {', '.join(EXPORTERS)}"
        raise DatasetError([Fault(file="--format", found=name, expected=expected)])
    return EXPORTERS[name]
