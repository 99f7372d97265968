"""Picture files of other people -> RGB, upright."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# What Pillow raises for them; DecompressionBombError for huge ones.
_OF_DAMAGED_FILES = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError),
    *(struct.error, Image.DecompressionBombError),
)


def decode_rgb(data: bytes, *, formats: tuple[str, ...] | None = None, max_pixels: int | None = None) -> Image.Image:
    """Decode a picture file to RGB, turned upright by its EXIF tag.

    `formats` are Pillow's names of those that are taken; with more than `max_pixels` nothing is decoded. Raises
    ValueError with the reason in one line.
    """
    try:
        picture = Image.open(io.BytesIO(data), formats=formats)
        width, height = picture.size
        if max_pixels is not None and width * height > max_pixels:
            raise ValueError(f"has {width} x {height} pixels; {max_pixels:,} in all are the most")
        return _to_rgb(ImageOps.exif_transpose(picture))
    except UnidentifiedImageError:  # its own words hold an address in memory, another one in every run
        raise ValueError("is no picture, or a damaged one") from None
    except _OF_DAMAGED_FILES as error:
        raise ValueError(str(error).split("\n", 1)[0] or type(error).__name__) from None


def _to_rgb(picture: Image.Image) -> Image.Image:
    """Convert to RGB; what has more than eight bits, as cameras of microscopes write it, is scaled to its range."""
    if picture.mode not in ("I", "F") and not picture.mode.startswith("I;16"):
        return picture.convert("RGB")
    values = np.nan_to_num(np.asarray(picture, np.float64))
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255 / (high - low) if high > low else 0)
    return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")
