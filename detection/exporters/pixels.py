"""Pictures that an export writes anew: they keep what they say of their origin (XMP)."""

from __future__ import annotations

import io
from typing import Literal

from PIL import Image, PngImagePlugin

from detection.datasets.read import open_rgb
from detection.exporters.types import Picture
from generator.dataset.provenance import PNG_LEVEL
from generator.foundation.errors import DatasetError, Fault

JPEG_QUALITY = 95


def open_picture(picture: Picture) -> Image.Image:
    """Read a picture as RGB, upright. Raises DatasetError when that is impossible, or its size not the labelled one."""
    image = open_rgb(picture.path)
    if image.size != (picture.width, picture.height):
        found, expected = f"{image.width} x {image.height}", f"its labels are for {picture.width} x {picture.height} px"
        raise DatasetError([Fault(file=str(picture.path), found=found, expected=expected)])
    return image


def encode(image: Image.Image, kind: Literal["PNG", "JPEG"], *, origin: Image.Image) -> bytes:
    """Encode a picture with the XMP packet of the one it came from; the same pixels give the same bytes."""
    xmp = origin.info.get("xmp")
    stream = io.BytesIO()
    if kind == "JPEG":
        kept = {"xmp": xmp} if isinstance(xmp, bytes) else {}
        image.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0, **kept)
        return stream.getvalue()
    info = PngImagePlugin.PngInfo()
    if isinstance(xmp, bytes):
        info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", errors="replace"))
    image.save(stream, "PNG", compress_level=PNG_LEVEL, pnginfo=info)
    return stream.getvalue()
