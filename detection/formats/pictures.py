"""Pictures written anew: on their way in so that every trainer reads them alike, on their way out with their XMP.

On their way in they become upright, RGB or grey, JPEG or PNG, rightly named. What is so already is copied byte for
byte. The rest is decoded and written anew: as JPEG where it was one, without loss as PNG where not.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from generator.dataset.provenance import PNG_LEVEL
from generator.foundation.decoding import DecodedPicture, UnsupportedPictureError, decode_picture
from generator.foundation.near_duplicates import picture_hash
from generator.foundation.storage import translate_os_errors

_SUFFIXES = {"JPEG": (".jpg", ".jpeg"), "MPO": (".jpg", ".jpeg"), "PNG": (".png",)}
_UNSUPPORTED = (".dng", ".nef", ".cr2", ".arw", ".dcm")
JPEG_QUALITY = 95
_TRANSPOSED = (5, 6, 7, 8)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConvertedPicture:
    """A picture in its new place. `size_wh` is upright; `stored_wh` and `orientation` (EXIF, 1 to 8) are the source's.

    `changes` are (what, found) pairs for cases; `hash` is (128,) bool.
    """

    path: Path
    size_wh: tuple[int, int]
    stored_wh: tuple[int, int]
    orientation: int
    changes: tuple[tuple[str, str], ...]
    hash: np.ndarray


def convert_picture(data: bytes, suffix: str, stem: str, folder: Path) -> ConvertedPicture:
    """Put the picture of a file into `folder` under `stem`, with its `suffix` or the one that fits.

    Raises ValueError with the reason when it cannot be read whole, UnsupportedPictureError when its format is not read
    here, StorageError when it cannot be written.
    """
    if suffix.lower() in _UNSUPPORTED:  # of a raw file Pillow would read the small preview
        raise UnsupportedPictureError(f"is {suffix[1:].upper()}, which is not read here; save it as PNG or TIFF")
    decoded = decode_picture(data)
    upright, data, kind, orientation = decoded.image, decoded.data, decoded.kind, decoded.orientation
    changes = _changes(decoded)
    if changes or decoded.is_deep:
        # CMYK and turned JPEG files stay JPEG; everything else may hold what JPEG would blur.
        is_jpeg = _SUFFIXES.get(kind) == _SUFFIXES["JPEG"]
        data, suffix = encode(upright, "JPEG" if is_jpeg else "PNG"), ".jpg" if is_jpeg else ".png"
    elif suffix.lower() not in _SUFFIXES[kind]:
        changes = [("a suffix of another format", f"{suffix}, but it is {kind}")]
        suffix = _SUFFIXES[kind][0]
    path = folder / f"{stem}{suffix}"
    with translate_os_errors(path):
        path.write_bytes(data)
    width, height = upright.size
    return ConvertedPicture(
        path=path,
        size_wh=upright.size,
        stored_wh=(height, width) if orientation in _TRANSPOSED else (width, height),
        orientation=orientation,
        changes=(*decoded.changes, *changes),
        hash=picture_hash(upright),
    )


def _changes(decoded: DecodedPicture) -> list[tuple[str, str]]:
    """Say why a picture cannot be copied as it is, beside its depth."""
    changes = []
    if decoded.orientation != 1:
        changes.append(("a picture that EXIF turns: turned upright", f"orientation {decoded.orientation}"))
    if decoded.kind not in _SUFFIXES:
        changes.append(("a picture of another format: written as PNG", decoded.kind or "unknown"))
    try:
        header = Image.open(io.BytesIO(decoded.data))
    except UnidentifiedImageError:  # a TIFF that OpenCV reads
        return changes
    if decoded.kind in _SUFFIXES and not decoded.is_deep:
        if header.mode not in ("RGB", "L"):
            changes.append(("a picture that is neither RGB nor grey: made RGB", header.mode))
        elif "transparency" in header.info:
            changes.append(("a picture that is neither RGB nor grey: made RGB", f"{header.mode} with transparency"))
    frames = getattr(header, "n_frames", 1)
    if frames > 1 and header.format != "MPO":
        changes.append(("a picture of several frames: the first is taken", str(frames)))
    return changes


def encode(image: Image.Image, kind: Literal["PNG", "JPEG"], *, origin: Image.Image | None = None) -> bytes:
    """Encode a picture, with the XMP packet of the one it came from; the same pixels give the same bytes."""
    xmp = origin.info.get("xmp") if origin is not None else None
    options: dict[str, Any] = {"quality": JPEG_QUALITY, "subsampling": 0} if kind == "JPEG" else {}
    if kind == "PNG" and origin is not None:
        options["compress_level"] = PNG_LEVEL
    if isinstance(xmp, bytes):
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", errors="replace"))
        options |= {"xmp": xmp} if kind == "JPEG" else {"pnginfo": info}
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()
