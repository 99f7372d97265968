"""One picture of a source -> one that every trainer reads alike: upright, RGB or grey, JPEG or PNG, rightly named.

What is so already is copied byte for byte. The rest is decoded and written anew: as JPEG where it was one, without loss
as PNG where not.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from detection.datasets.near_duplicates import picture_hash
from generator.decoding import decode_rgb
from generator.storage import translate_os_errors

_SUFFIXES = {"JPEG": (".jpg", ".jpeg"), "MPO": (".jpg", ".jpeg"), "PNG": (".png",)}
_JPEG_QUALITY = 95
_TRANSPOSED = (5, 6, 7, 8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BroughtPicture:
    """A picture in its new place. `size_wh` is upright; `stored_wh` and `orientation` (EXIF, 1 to 8) are the source's.

    `changes` are (what, found) pairs for cases; `hash` is (128,) bool.
    """

    path: Path
    size_wh: tuple[int, int]
    stored_wh: tuple[int, int]
    orientation: int
    changes: tuple[tuple[str, str], ...]
    hash: np.ndarray


def bring_picture(data: bytes, suffix: str, stem: str, folder: Path) -> BroughtPicture:
    """Lay the picture of a file into `folder` under `stem`, with its `suffix` or the one that fits.

    Raises ValueError with the reason when it cannot be read whole, StorageError when it cannot be written.
    """
    upright = decode_rgb(data)
    with Image.open(io.BytesIO(data)) as header:
        turn = header.getexif().get(ExifTags.Base.Orientation)
        orientation = turn if isinstance(turn, int) and turn in range(2, 9) else 1
        kind = header.format or ""
        changes = _changes(header, data, orientation)
    if changes:
        # CMYK and turned JPEG files stay JPEG; everything else may hold what JPEG would blur.
        is_jpeg = _SUFFIXES.get(kind) == _SUFFIXES["JPEG"]
        data, suffix = _encode(upright, is_jpeg=is_jpeg), ".jpg" if is_jpeg else ".png"
    elif suffix.lower() not in _SUFFIXES[kind]:
        changes = [("a suffix of another format", f"{suffix}, but it is {kind}")]
        suffix = _SUFFIXES[kind][0]
    path = folder / f"{stem}{suffix}"
    with translate_os_errors(path):
        path.write_bytes(data)
    width, height = upright.size
    return BroughtPicture(
        path=path,
        size_wh=upright.size,
        stored_wh=(height, width) if orientation in _TRANSPOSED else (width, height),
        orientation=orientation,
        changes=tuple(changes),
        hash=picture_hash(upright),
    )


def _changes(header: Image.Image, data: bytes, orientation: int) -> list[tuple[str, str]]:
    changes = []
    if orientation != 1:
        changes.append(("a picture that EXIF turns: turned upright", f"orientation {orientation}"))
    if header.format not in _SUFFIXES:
        changes.append(("a picture of another format: written as PNG", header.format or "unknown"))
    elif header.mode not in ("RGB", "L"):
        changes.append(("a picture that is neither RGB nor grey: made RGB", header.mode))
    elif "transparency" in header.info:
        changes.append(("a picture that is neither RGB nor grey: made RGB", f"{header.mode} with transparency"))
    elif header.format == "PNG" and _png_depth(data) == 16:
        changes.append(("a picture of 16 bits: made 8 bits", header.mode))
    frames = getattr(header, "n_frames", 1)
    if frames > 1 and header.format != "MPO":
        changes.append(("a picture of several frames: the first is taken", str(frames)))
    return changes


def _png_depth(data: bytes) -> int:
    """Bits a channel: byte 24 of the file, in its IHDR chunk (https://www.w3.org/TR/png/#11IHDR)."""
    return int(struct.unpack_from("B", data, 24)[0])


def _encode(picture: Image.Image, *, is_jpeg: bool) -> bytes:
    stream = io.BytesIO()
    if is_jpeg:
        picture.save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    else:
        picture.save(stream, "PNG")
    return stream.getvalue()
