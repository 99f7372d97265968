"""Pictures of every depth and mode, cut and odd ones: what comes out, what is said, and what is refused."""

from __future__ import annotations

import io
import runpy
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image

from generator.foundation import decoding
from generator.foundation.decoding import UnsupportedPictureError, decode_picture, decode_rgb

DEEP = "a picture of more than 8 bits a channel: made 8 bits"
RAMP = np.linspace(0, 1, 80 * 64).reshape(64, 80)
EIGHT_BITS = np.round(RAMP * 255)


def colours(values: np.ndarray) -> np.ndarray:
    """RGB as OpenCV wants it, BGR: a ramp, the same backwards, and black."""
    return np.stack([np.zeros_like(values), values[::-1], values], axis=2)


def opencv(suffix: str, values: np.ndarray) -> bytes:
    done, data = cv2.imencode(suffix, values)
    assert done
    return bytes(data.tobytes())


def pillow(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def whole(most: int, kind: type = np.uint16) -> np.ndarray:
    return np.round(RAMP * most).astype(kind)


@pytest.mark.parametrize("most", [65535, 16383, 4095, 1023, 255])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("is_grey", [True, False])
def test_whole_numbers_are_scaled_by_the_bits_that_they_need(most: int, suffix: str, is_grey: bool) -> None:
    values = whole(most)
    decoded = decode_picture(opencv(suffix, values if is_grey else colours(values)))
    pixels = np.asarray(decoded.image, float)
    assert pixels.shape == (64, 80, 3)
    expected = np.stack([EIGHT_BITS] * 3, axis=2) if is_grey else colours(EIGHT_BITS)[..., ::-1]
    assert np.abs(pixels - expected).max() <= 1
    ((what, found),) = decoded.changes
    assert (what, found) == (DEEP, f"0 to {most}, taken as {(most + 1).bit_length() - 1} bits")


def test_a_dark_picture_of_a_camera_stays_dark_beside_a_bright_one() -> None:
    dark = np.asarray(decode_rgb(opencv(".png", np.clip(whole(4095), 0, 2200))))
    assert dark.max() == round(2200 / 4095 * 255)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (RAMP.astype(np.float32), "0 to 1"),
        (RAMP, "0 to 1"),
        (colours(RAMP.astype(np.float32)), "0 to 1"),
        ((RAMP * 300.5 - 100).astype(np.float32), "-100 to 200.5"),
        (whole(2**31 - 1, np.uint32), "0 to 2.14748e+09"),
        (whole(4095, np.float32), "0 to 4095, taken as 12 bits"),
        (np.where(RAMP > 0.5, 1, 0).astype(np.uint16), "0 to 1, taken as 1 bit"),
    ],
)
def test_tiff_of_floats_and_long_numbers(values: np.ndarray, found: str) -> None:
    decoded = decode_picture(opencv(".tif", values))
    assert decoded.changes == ((DEEP, found),)
    pixels = np.asarray(decoded.image)
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert pixels[0, 0, 0] == 0 and pixels[-1, -1, 0] == 255


def test_floats_that_are_no_numbers() -> None:
    values = RAMP.astype(np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    pixels = np.asarray(decode_rgb(opencv(".tif", values)))
    assert pixels[0, :3, 0].tolist() == [0, 255, 0]


def test_depth_with_alpha() -> None:
    values = np.dstack([colours(whole(4095)), np.full((64, 80), 65535, np.uint16)])
    assert np.abs(np.asarray(decode_rgb(opencv(".png", values)), float) - colours(EIGHT_BITS)[..., ::-1]).max() <= 1


def test_jpeg_2000_of_twelve_bits() -> None:
    values = np.kron(colours(whole(4095)), np.ones((4, 4, 1), np.uint16))
    decoded = decode_picture(opencv(".jp2", values))
    assert decoded.is_deep and np.asarray(decoded.image).max() > 250


COLOUR = Image.fromarray(colours(EIGHT_BITS).astype(np.uint8))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"])
def test_every_mode_of_eight_bits(mode: str) -> None:
    kind = "PNG" if mode in ("PA", "P", "LA") else "TIFF"
    picture = COLOUR.convert("P").convert(mode) if mode == "PA" else COLOUR.convert(mode)
    try:
        data = pillow(picture, kind)
    except OSError:  # Pillow writes no such file
        return
    decoded = decode_picture(data)
    assert (decoded.changes, decoded.image.mode, decoded.image.size) == ((), "RGB", (80, 64))
    assert np.abs(np.asarray(decoded.image, float) - np.asarray(picture.convert("RGB"), float)).max() <= 2


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "WEBP", "PPM"])
def test_formats_beside_the_usual(kind: str) -> None:
    decoded = decode_picture(pillow(COLOUR, kind))
    assert (decoded.kind, decoded.changes) == (kind, ())
    assert np.abs(np.asarray(decoded.image, float) - np.asarray(COLOUR, float)).mean() < 4


def test_heic_is_a_format_that_is_not_read() -> None:
    with pytest.raises(UnsupportedPictureError, match=r"HEIC or the like .heic., .*save it as JPEG or PNG"):
        decode_rgb(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 400)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "PNG of 12 bits"])
def test_upright_once_and_saying_nothing_of_a_turn(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="%d"/></x:xmpmeta>' % orientation
    if kind == "PNG of 12 bits":
        data = pillow(Image.fromarray(whole(4095)), "PNG", exif=exif)
    else:
        data = pillow(COLOUR, kind, exif=exif, **({"xmp": xmp} if kind == "JPEG" else {}))
    decoded = decode_picture(data)
    assert decoded.orientation == orientation
    assert decoded.image.getexif().get(0x0112, 1) == 1
    expected = np.asarray(decode_rgb(pillow(Image.fromarray(whole(4095)), "PNG")) if decoded.is_deep else COLOUR, float)
    turned = [np.rot90(side, turns) for side in (expected, expected[:, ::-1]) for turns in range(4)]
    number = {1: 0, 6: 3, 3: 2, 8: 1, 2: 4, 4: 6, 7: 7, 5: 5}[orientation]
    assert np.abs(np.asarray(decoded.image, float) - turned[number]).mean() < 4


JPEG = pillow(COLOUR, "JPEG")
PROGRESSIVE = pillow(COLOUR, "JPEG", progressive=True)


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE], ids=["baseline", "progressive"])
@pytest.mark.parametrize("end", [b"", b"\xff"], ids=["both bytes", "one byte"])
def test_a_jpeg_that_lacks_its_last_bytes_is_whole(data: bytes, end: bytes) -> None:
    decoded = decode_picture(data[:-2] + end)
    assert decoded.data == data
    assert np.array_equal(np.asarray(decoded.image), np.asarray(decode_rgb(data)))
    assert [what for what, _ in decoded.changes] == ["a JPEG file that lacks its last two bytes: they are put there"]


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE], ids=["baseline", "progressive"])
@pytest.mark.parametrize("cut", [6, 20, 300])
def test_a_jpeg_that_is_cut_stays_refused(data: bytes, cut: int) -> None:
    with pytest.raises(ValueError, match=r"truncated|damaged|broken"):
        decode_rgb(data[:-cut])


def test_pillow_warns_of_nothing_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 50
    broken = pillow(COLOUR, "JPEG", exif=exif.tobytes()[:-40])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode_rgb(broken)
        assert {item.category for item in caught} == {Image.DecompressionBombWarning, UserWarning}
        caught.clear()
        runpy.run_path(decoding.__file__)  # as when it is imported, before pytest puts its own filters first
        decode_rgb(broken)
        assert not caught
