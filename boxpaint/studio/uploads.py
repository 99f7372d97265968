"""Photos that somebody gives to a page: limited in size and pixels, of the usual formats, decoded with care."""

from __future__ import annotations

import numpy as np
from PIL import Image

from boxpaint.studio.limits import MAX_MEGABYTES, MAX_PIXELS, MAX_SIDE_PX
from generator.foundation.decoding import decode_rgb
from generator.foundation.errors import BoxpaintError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")


def read_photo(data: bytes) -> np.ndarray:
    """Decode an upload to (H, W, 3) uint8 RGB, of MAX_SIDE_PX at most.

    Raises BoxpaintError for no picture, or one that is too large.
    """
    if len(data) > MAX_MEGABYTES * 1_000_000:
        raise BoxpaintError(f"the file has {len(data) / 1e6:.0f} MB; {MAX_MEGABYTES} are the most")
    try:
        picture = decode_rgb(data, formats=FORMATS, max_pixels=MAX_PIXELS)
    except ValueError as error:
        raise BoxpaintError(f"the file cannot be used: {error}") from None
    picture.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    return np.array(picture)
