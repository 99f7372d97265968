"""Pictures: copied byte for byte where they are sound, written anew where not, refused where they are torn."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from detection.formats.pictures import convert_picture
from tests.detection.formats.sources import SIZE, draw, encode

SOUND = {
    "RGB JPEG": ("a.jpg", encode(draw(1))),
    "grey JPEG": ("a.jpeg", encode(draw(1, mode="L"))),
    "shouted": ("A.JPG", encode(draw(1))),
    "upright by EXIF": ("a.jpg", encode(draw(1), orientation=1)),
    "EXIF nonsense": ("a.jpg", encode(draw(1), orientation=9)),
    "RGB PNG": ("a.png", encode(draw(1), "PNG")),
    "grey PNG": ("a.png", encode(draw(1, mode="L"), "PNG")),
}


@pytest.mark.parametrize(("name", "data"), SOUND.values(), ids=SOUND)
def test_sound_pictures_are_copied(tmp_path: Path, name: str, data: bytes) -> None:
    out = tmp_path / "out"
    out.mkdir()
    converted = convert_picture(data, Path(name).suffix, "new", out)
    assert converted.path == out / f"new{Path(name).suffix}"
    assert converted.path.read_bytes() == data
    assert (converted.size_wh, converted.stored_wh, converted.orientation, converted.changes) == (SIZE, SIZE, 1, ())
    assert converted.hash.shape == (128,)


def sixteen_bits(mode: str) -> bytes:
    values = np.linspace(0, 65535, SIZE[0] * SIZE[1]).reshape(SIZE[1], SIZE[0]).astype(np.uint16)
    if mode == "grey":
        return encode(Image.fromarray(values), "PNG")
    # Pillow writes no colours of 16 bits: the chunks by hand.
    rows = b"".join(b"\0" + np.stack([row] * 3, axis=1).astype(">u2").tobytes() for row in values)
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", *SIZE, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def twelve_bits() -> bytes:
    """What a camera of 12 bits stores as RGB of 16."""
    done, data = cv2.imencode(".png", np.asarray(draw(1)).astype(np.uint16) * 16)
    assert done
    return bytes(data.tobytes())


def animation() -> bytes:
    stream = io.BytesIO()
    draw(1).save(stream, "GIF", save_all=True, append_images=[draw(2)])
    return stream.getvalue()


def transparent() -> bytes:
    stream = io.BytesIO()
    draw(1).save(stream, "PNG", transparency=(0, 0, 0))
    return stream.getvalue()


NEITHER = "a picture that is neither RGB nor grey: made RGB"
DEEP = "a picture of more than 8 bits a channel: made 8 bits"
OTHER = "a picture of another format: written as PNG"
CHANGED = {
    "palette": ("a.png", encode(draw(1, mode="P"), "PNG"), ".png", [(NEITHER, "P")]),
    "alpha": ("a.png", encode(draw(1, mode="RGBA"), "PNG"), ".png", [(NEITHER, "RGBA")]),
    "grey and alpha": ("a.png", encode(draw(1, mode="LA"), "PNG"), ".png", [(NEITHER, "LA")]),
    "one bit": ("a.png", encode(draw(1, mode="1"), "PNG"), ".png", [(NEITHER, "1")]),
    "colour key": ("a.png", transparent(), ".png", [(NEITHER, "RGB with transparency")]),
    "16 bits grey": ("a.png", sixteen_bits("grey"), ".png", [(DEEP, "0 to 65535, taken as 16 bits")]),
    "16 bits colour": ("a.png", sixteen_bits("colour"), ".png", [(DEEP, "0 to 65535, taken as 16 bits")]),
    "12 bits colour": ("a.png", twelve_bits(), ".png", [(DEEP, "0 to 4080, taken as 12 bits")]),
    "AVIF": ("a.avif", encode(draw(1), "AVIF"), ".png", [(OTHER, "AVIF")]),
    "JPEG 2000": ("a.jp2", encode(draw(1), "JPEG2000"), ".png", [(OTHER, "JPEG2000")]),
    "float TIFF": (
        "a.tif",
        encode(Image.fromarray(np.linspace(0, 1, 1200, dtype=np.float32).reshape(30, 40)), "TIFF"),
        ".png",
        [(DEEP, "0 to 1"), (OTHER, "TIFF")],
    ),
    "CMYK": ("a.jpg", encode(draw(1, mode="CMYK")), ".jpg", [(NEITHER, "CMYK")]),
    "BMP": ("a.bmp", encode(draw(1), "BMP"), ".png", [(OTHER, "BMP")]),
    "WebP": ("a.webp", encode(draw(1), "WEBP"), ".png", [(OTHER, "WEBP")]),
    "TIFF": ("a.tif", encode(draw(1), "TIFF"), ".png", [(OTHER, "TIFF")]),
    "animation": (
        "a.gif",
        animation(),
        ".png",
        [(OTHER, "GIF"), ("a picture of several frames: the first is taken", "2")],
    ),
    "WebP called JPEG": ("a.jpg", encode(draw(1), "WEBP"), ".png", [(OTHER, "WEBP")]),
}


@pytest.mark.parametrize(("name", "data", "suffix", "changes"), CHANGED.values(), ids=CHANGED)
def test_other_pictures_are_written_anew(
    tmp_path: Path, name: str, data: bytes, suffix: str, changes: list[tuple[str, str]]
) -> None:
    converted = convert_picture(data, Path(name).suffix, "new", tmp_path)
    assert converted.path.name == f"new{suffix}"
    assert list(converted.changes) == changes
    with Image.open(converted.path) as picture:
        assert (picture.mode, picture.size, picture.format) == ("RGB", SIZE, "JPEG" if suffix == ".jpg" else "PNG")
        if "alpha" in name:
            assert np.array_equal(np.asarray(picture), np.asarray(draw(1)))


@pytest.mark.parametrize(
    ("name", "kind", "new"), [("a.jpg", "PNG", "new.png"), ("a.png", "JPEG", "new.jpg"), ("a.jfif", "JPEG", "new.jpg")]
)
def test_a_wrong_suffix_is_mended_without_touching_the_bytes(tmp_path: Path, name: str, kind: str, new: str) -> None:
    data = encode(draw(1), kind)
    converted = convert_picture(data, Path(name).suffix, "new", tmp_path)
    assert (converted.path.name, converted.path.read_bytes()) == (new, data)
    assert converted.changes == (("a suffix of another format", f"{Path(name).suffix}, but it is {kind}"),)


def test_a_jpeg_that_lacks_its_last_two_bytes_gets_them(tmp_path: Path) -> None:
    data = encode(draw(1))
    converted = convert_picture(data[:-2], ".jpg", "new", tmp_path)
    assert converted.path.read_bytes() == data
    assert converted.changes == (
        ("a JPEG file that lacks its last two bytes: they are put there", f"{len(data) - 2} bytes"),
    )


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_turned_pictures_become_upright_and_say_nothing_of_a_turn(tmp_path: Path, kind: str, orientation: int) -> None:
    converted = convert_picture(encode(draw(1), kind, orientation), ".jpg", "new", tmp_path)
    upright = (30, 40) if orientation >= 5 else (40, 30)
    assert (converted.size_wh, converted.stored_wh, converted.orientation) == (upright, SIZE, orientation)
    with Image.open(converted.path) as picture:
        assert picture.size == upright
        assert picture.format == kind
        assert 274 not in picture.getexif()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>404</html>",
        encode(draw(1))[:-300],
        encode(draw(1), "PNG")[:-300],
        encode(draw(1), "PNG")[:40],
        encode(draw(1), "BMP")[:200],
    ],
)
def test_torn_pictures_are_refused_and_leave_nothing(tmp_path: Path, data: bytes) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(ValueError, match=r"\w+"):
        convert_picture(data, ".jpg", "new", out)
    assert not list(out.iterdir())
