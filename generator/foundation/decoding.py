"""Picture files of other people -> RGB, 8 bits a channel, upright."""

from __future__ import annotations

import io
import struct
import warnings
from dataclasses import dataclass, replace

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

# Pillow warns of pictures that it reads all the same: of many pixels (twice as many are refused), of odd EXIF or TIFF
# tags (all that is taken from them is the orientation, see _orientation). Nobody who gives a folder can act on that.
warnings.filterwarnings("ignore", module=r"PIL\.")

# What Pillow raises for them; DecompressionBombError for huge ones.
_OF_DAMAGED_FILES = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError),
    *(struct.error, Image.DecompressionBombError),
)
# EXIF 2.32, tag 0x0112: what turns the stored picture upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DEEP = "a picture of more than 8 bits a channel: made 8 bits"
_DEEP_GREY = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_TIFF = (b"II*\0", b"MM\0*")
# A camera of 12 bits writes files of 16: the smallest of these that holds all values is what white is.
_WHITES = {1: "1 bit", 255: "8 bits", 1023: "10 bits", 4095: "12 bits", 16383: "14 bits", 65535: "16 bits"}


class UnsupportedPictureError(ValueError):
    """A picture, sound perhaps, in a format that is not read here."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecodedPicture:
    """A picture that was read.

    `image` is RGB, upright; `kind` Pillow's name of the format; `orientation` EXIF's, 1 to 8; `is_deep` where a channel
    had more than 8 bits. `data` is the file, with the end that it lacked. `changes` are (what, found) pairs for what
    had to be mended or could not be kept.
    """

    image: Image.Image
    kind: str
    orientation: int
    data: bytes
    is_deep: bool = False
    changes: tuple[tuple[str, str], ...] = ()


def decode_rgb(data: bytes, *, formats: tuple[str, ...] | None = None, max_pixels: int | None = None) -> Image.Image:
    """Decode a picture file to RGB, turned upright by its EXIF tag.

    `formats` are Pillow's names of those that are taken; with more than `max_pixels` nothing is decoded. Raises
    ValueError with the reason in one line.
    """
    return decode_picture(data, formats=formats, max_pixels=max_pixels).image


def upright_size(data: bytes) -> tuple[int, int]:
    """Width and height that decode_rgb gives a picture file, by its head alone where that says it.

    Raises ValueError with the reason in one line.
    """
    try:
        with Image.open(io.BytesIO(data)) as picture:
            width, height = picture.size
            is_turned = picture.format != "TIFF" and _orientation(picture) >= 5  # TIFF's size is the upright one
    except _OF_DAMAGED_FILES:
        return decode_rgb(data).size
    return (height, width) if is_turned else (width, height)


def decode_picture(
    data: bytes, *, formats: tuple[str, ...] | None = None, max_pixels: int | None = None
) -> DecodedPicture:
    """Decode as decode_rgb does, and say what was changed.

    Raises ValueError with the reason in one line, UnsupportedPictureError for a format that is not read here.
    """
    try:
        try:
            return _decode(data, formats, max_pixels)
        except OSError:
            whole = _with_end(data)
            if whole is None:
                raise
            decoded = _decode(whole, formats, max_pixels)
            what = "a JPEG file that lacks its last two bytes: they are put there"
            return replace(decoded, changes=((what, f"{len(data)} bytes"), *decoded.changes))
    except UnidentifiedImageError:  # its own words hold an address in memory, another one in every run
        if data[4:8] == b"ftyp":
            brand = data[8:12].decode("ascii", "replace")
            expected = f"is HEIC or the like ({brand}), which is not read here; save it as JPEG or PNG"
            raise UnsupportedPictureError(expected) from None
        raise ValueError("is no picture, or a damaged one") from None
    except _OF_DAMAGED_FILES as error:
        raise ValueError(str(error).split("\n", 1)[0] or type(error).__name__) from None


def _decode(data: bytes, formats: tuple[str, ...] | None, max_pixels: int | None) -> DecodedPicture:
    try:
        picture = Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        # Pillow does not know TIFF of 64 bits, nor colours of 32.
        if not data.startswith(_TIFF) or formats is not None:
            raise
        image, found = _to_eight_bits(_read_deep(data))
        changes = ((_DEEP, found),)
        return DecodedPicture(image=image, kind="TIFF", orientation=1, data=data, is_deep=True, changes=changes)
    width, height = picture.size
    if max_pixels is not None and width * height > max_pixels:
        raise ValueError(f"has {width} x {height} pixels; {max_pixels:,} in all are the most")
    is_deep = _is_deep(picture, data)  # first: a PNG is read whole when it is asked for its EXIF
    kind, orientation = picture.format or "", _orientation(picture)
    turn = None if kind == "TIFF" else _TURNS.get(orientation)  # TIFF is turned while it is read
    if is_deep:
        values = np.asarray(picture) if picture.mode in _DEEP_GREY else _read_deep(data)
        image, found = _to_eight_bits(values)
        image = image.transpose(turn) if turn is not None else image
    else:
        picture.load()
        try:
            image = ImageOps.exif_transpose(picture).convert("RGB")  # XMP no longer speaks of a turn, either
        except _OF_DAMAGED_FILES:  # it cannot write the EXIF back
            image = (picture.transpose(turn) if turn is not None else picture).convert("RGB")
    return DecodedPicture(
        image=image,
        kind=kind,
        orientation=orientation,
        data=data,
        is_deep=is_deep,
        changes=((_DEEP, found),) if is_deep else (),
    )


def _orientation(picture: Image.Image) -> int:
    """Read how EXIF turns a picture: 1 where it says nothing, or what it says is broken."""
    try:
        turn = picture.getexif().get(ExifTags.Base.Orientation)
    except _OF_DAMAGED_FILES:
        return 1
    return turn if isinstance(turn, int) and turn in _TURNS else 1


def _with_end(data: bytes) -> bytes | None:
    """Give a JPEG file the marker that it ends with, where nothing but that is missing; else None.

    Then it does not matter what stands where the marker should be. libjpeg makes up for pixels that are cut off.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    data = data.rstrip(b"\xff")
    endings = [data + filler + b"\xff\xd9" for filler in (b"", b"\x55" * 64, b"\xaa" * 64)]
    try:
        first, *others = (np.asarray(Image.open(io.BytesIO(ending), formats=("JPEG",))) for ending in endings)
    except _OF_DAMAGED_FILES:
        return None
    return endings[0] if all(np.array_equal(first, other) for other in others) else None


def _is_deep(picture: Image.Image, data: bytes) -> bool:
    """Say whether a channel has more than 8 bits; of colours Pillow itself would take the upper eight."""
    if picture.mode in _DEEP_GREY:
        return True
    if picture.format == "JPEG2000":
        # Bits of the first channel, in the SIZ marker (ISO/IEC 15444-1, A.5.1).
        start = data.find(b"\xff\x4f\xff\x51") + 42
        return start > 41 and len(data) > start and (data[start] & 0x7F) + 1 > 8
    if picture.format not in ("PNG", "TIFF") or picture.mode not in ("RGB", "RGBA", "RGBX", "LA"):
        return False
    return any(";16" in str(tile) for tile in getattr(picture, "tile", ()))


def _read_deep(data: bytes) -> np.ndarray:
    """Read (H, W) or (H, W, 3) RGB as the file has it. Raises ValueError."""
    import cv2

    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        values = None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if values is None:
        raise ValueError("is no picture, or a damaged one")
    return values if values.ndim == 2 else values[..., 2::-1]


def _to_eight_bits(values: np.ndarray) -> tuple[Image.Image, str]:
    """Scale (H, W) or (H, W, 3) to RGB of 8 bits, and say how.

    Whole numbers by the bits that they need: pictures of one camera stay alike, but for one so dark that it needs
    fewer. Shares of 1 by 255; others from the lowest to the highest.
    """
    sound = values[np.isfinite(values)]
    low, high = (float(sound.min()), float(sound.max())) if sound.size else (0.0, 0.0)
    is_whole = values.dtype.kind in "iub" or np.array_equal(sound, np.floor(sound))
    found = f"{low:g} to {high:g}"
    if low >= 0 and high <= 1 and not is_whole:
        low, high = 0.0, 1.0
    elif low >= 0 and is_whole and high <= max(_WHITES):
        low, high = 0.0, float(next(white for white in _WHITES if white >= high))
        found = f"{found}, taken as {_WHITES[int(high)]}"
    scale = 255 / (high - low) if high > low else 0.0
    scaled = (np.nan_to_num(values.astype(np.float32), nan=low, posinf=high, neginf=low) - low) * scale
    return Image.fromarray(np.round(scaled).astype(np.uint8)).convert("RGB"), found
