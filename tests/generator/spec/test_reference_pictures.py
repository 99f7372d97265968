"""Opening a reference photo: upright, in RGB, cut to its box; or one reason why it cannot be."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from generator.foundation.geometry import Box
from generator.spec.references import Reference, content_hash, open_reference

EXIF_ORIENTATION, QUARTER_TURN = 0x0112, 6
KINDS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")


def picture(width: int = 40, height: int = 20) -> Image.Image:
    """Red grows to the right, green downwards."""
    rows, columns = np.indices((height, width))
    return Image.fromarray(np.stack([columns * 5, rows * 5, np.full_like(rows, 128)], 2).astype(np.uint8))


def encoded(kind: str = "PNG", image: Image.Image | None = None, **options: object) -> bytes:
    stream = io.BytesIO()
    (image or picture()).save(stream, kind, **options)
    return stream.getvalue()


def turned(kind: str = "JPEG") -> bytes:
    """A photo as a camera on its side writes it."""
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = QUARTER_TURN
    exif[0x010E] = "a description"
    return encoded(kind, **({} if kind == "BMP" else {"exif": exif, "quality": 95}))


def put(path: Path, data: bytes | None = None) -> Path:
    path.write_bytes(encoded() if data is None else data)
    return path


def opened(path: Path, box: tuple[int, int, int, int] | None = None) -> Image.Image:
    return open_reference(Reference(path=path, box=Box.from_xyxy(*box) if box else None))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_becomes_rgb(tmp_path, kind):
    written = 0
    for mode in ("RGB", "L", "P", "1", "RGBA", "LA", "CMYK", "I;16"):
        image = picture().convert("L").convert(mode) if mode == "I;16" else picture().convert(mode)
        try:
            data = encoded(kind, image)
        except OSError:  # no such mode in files of this kind
            continue
        result = opened(put(tmp_path / "a", data))
        assert (result.mode, result.size) == ("RGB", (40, 20))
        written += 1
    assert written >= 3


def test_a_photo_that_the_camera_turned_is_upright(tmp_path):
    result = opened(put(tmp_path / "a.jpg", turned()))
    assert result.size == (20, 40)
    red, green, _ = result.getpixel((10, 39))
    assert red > 180  # what was at the right end is at the bottom
    assert green < 80


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        # Around (18, 8) a side of 4 * 1.5 = 6.
        ((16, 6, 20, 10), (15, 5, 21, 11)),
        # Its longer side counts, 8 * 1.5 = 12.
        ((16, 8, 24, 10), (14, 3, 26, 15)),
        # 20 * 1.5 = 30, and the picture is 20 high.
        ((10, 0, 30, 20), (10, 0, 30, 20)),
        # Only the part inside the picture counts: 4 x 4 at the corner, 6 wide.
        ((36, 16, 60, 50), (34, 14, 40, 20)),
        ((0, 0, 4, 4), (0, 0, 6, 6)),
    ],
)
def test_a_box_is_cut_out_with_what_is_around_it(tmp_path, box, expected):
    result = opened(put(tmp_path / "a.png"), box)
    x_min, y_min, x_max, y_max = expected
    assert np.array_equal(np.asarray(result), np.asarray(picture())[y_min:y_max, x_min:x_max])


@pytest.mark.parametrize("box", [(40, 0, 50, 10), (0, 20, 10, 30), (100, 100, 110, 110)])
def test_a_box_outside_of_the_picture(tmp_path, box):
    with pytest.raises(ValueError, match="lies outside of the picture"):
        opened(put(tmp_path / "a.png"), box)


@pytest.mark.parametrize(
    "data",
    [b"", b"not a picture", encoded()[:60], encoded("JPEG")[:200], b"\x89PNG\r\n\x1a\n" + b"\0" * 50, b"II*\0" * 9],
    ids=["empty", "text", "half a PNG", "half a JPEG", "PNG of zeros", "TIFF of nothing"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_file_that_is_no_picture(tmp_path, data):
    reasons = []
    for _ in range(2):
        with pytest.raises(ValueError, match=r".") as caught:
            opened(put(tmp_path / "a.png", data))
        reasons.append(str(caught.value))
    # It is written into captions.json, and equal runs write equal files.
    assert reasons[0] == reasons[1]
    assert "0x" not in reasons[0]


def test_damaged_notes_of_the_camera(tmp_path):
    data = bytearray(turned())
    data[data.index(b"Exif") + 17] = 0  # the tag of the description, so that Pillow could not write it back
    picture = opened(put(tmp_path / "a.jpg", bytes(data)))
    assert picture.size == opened(put(tmp_path / "b.jpg", turned())).size


def test_a_picture_that_would_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match="decompression bomb"):
        opened(put(tmp_path / "a.png"))


def test_a_file_that_is_gone(tmp_path):
    gone = Reference(path=tmp_path / "gone.png")
    for read in (open_reference, content_hash):
        with pytest.raises(ValueError, match="No such file"):
            read(gone)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(KINDS), st.data())
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
def test_any_damage_to_a_file_is_a_picture_or_one_error(tmp_path_factory, kind, data):
    whole = bytearray(turned(kind))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, min(len(whole), 400) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(1, len(whole)))
    path = put(tmp_path_factory.getbasetemp() / "damaged", bytes(whole[:end]))
    try:
        result = open_reference(Reference(path=path, box=Box.from_xyxy(1, 1, 9, 9)))
    except ValueError as error:
        assert str(error)
    else:
        assert result.mode == "RGB"


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    values = np.array([[1000, 3000], [5000, 9000]], np.uint16)
    Image.fromarray(values).save(tmp_path / "camera.png")
    pixels = np.asarray(open_reference(Reference(path=tmp_path / "camera.png")))
    assert pixels[..., 0].tolist() == [[16, 47], [78, 140]]  # 9000 needs 14 bits: v * 255 / 16383
    assert (pixels == pixels[..., :1]).all()
