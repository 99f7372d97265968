from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from generator.config import OutputConfig
from generator.dataset.provenance import SOURCE_TYPE, encode_image, says_synthetic, xmp_packet

PNG, JPG = OutputConfig(image_format="png"), OutputConfig(image_format="jpg")
both_formats = pytest.mark.parametrize("output", [PNG, JPG], ids=["png", "jpg"])
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


@pytest.fixture
def image() -> np.ndarray:
    rows, columns = np.indices((40, 60))
    return np.stack([rows * 6, columns * 4, 255 - rows - columns], axis=2).astype(np.uint8)


def stored_xmp(data: bytes) -> str:
    """The packet as another program finds it."""
    with Image.open(io.BytesIO(data)) as picture:
        info = picture.info
    packet = info.get("XML:com.adobe.xmp") or info["xmp"]
    return packet if isinstance(packet, str) else packet.decode("utf-8")


def description_of(packet: str) -> str | None:
    return ElementTree.fromstring(packet).findtext(f".//{RDF}li")


@both_formats
def test_the_picture_says_that_a_model_made_it(image: np.ndarray, output: OutputConfig) -> None:
    data = encode_image(image, output, xmp=xmp_packet(tool="boxpaint 1", description="a cell"))
    packet = stored_xmp(data)
    root = ElementTree.fromstring(packet)
    assert root.findtext(f".//{IPTC}DigitalSourceType") == SOURCE_TYPE
    assert SOURCE_TYPE.endswith("/trainedAlgorithmicMedia")
    # Some scanners only look for the bytes: they must not lie in a compressed part.
    assert SOURCE_TYPE.encode() in data
    assert b"boxpaint 1" in data


@pytest.mark.parametrize(
    ("kind", "quality", "most"), [("png", 95, 0.0), ("jpg", 100, 1.0), ("jpg", 95, 2.0), ("jpg", 50, 6.0)]
)
def test_png_keeps_pixels_and_jpeg_nearly(image: np.ndarray, kind: str, quality: int, most: float) -> None:
    output = OutputConfig(image_format=kind, jpeg_quality=quality)
    with Image.open(io.BytesIO(encode_image(image, output, xmp=xmp_packet(tool="t", description="d")))) as picture:
        assert (picture.format, picture.mode, picture.size) == (kind.replace("jpg", "jpeg").upper(), "RGB", (60, 40))
        assert np.abs(np.asarray(picture).astype(int) - image).mean() <= most


@both_formats
@pytest.mark.parametrize(
    "prompt",
    [
        "a cell < 5 µm & > 2 µm",
        "<script>alert('x')</script> ]]> </rdf:li>",
        'said "so"; {braces} {source}',
        "größer 🩸 日本",
    ],
)
def test_prompts_come_back_letter_for_letter(image: np.ndarray, output: OutputConfig, prompt: str) -> None:
    packet = stored_xmp(encode_image(image, output, xmp=xmp_packet(tool=prompt, description=prompt)))
    assert description_of(packet) == prompt


@pytest.mark.parametrize("letter", ["\x0b", "\x00", "\x1f"])
def test_letters_that_xml_forbids_do_not_break_the_packet(letter: str) -> None:
    # A vertical tab is what Word leaves in a cell for a line break.
    text = description_of(xmp_packet(tool="t", description=f"a{letter}cell"))
    assert text is not None
    assert text.startswith("a")
    assert text.endswith("cell")


@both_formats
def test_a_crowded_scene_with_long_prompts_can_be_stored(image: np.ndarray, output: OutputConfig) -> None:
    # One segment of a JPEG holds 65,502 bytes of XMP; 1,000 objects of 80 letters are more.
    packet = xmp_packet(tool="t", description="; ".join(f"{n} cells, {'stained ' * 10}" for n in range(1000)))
    assert SOURCE_TYPE in stored_xmp(encode_image(image, output, xmp=packet))


@both_formats
def test_it_is_known_by_that(image: np.ndarray, output: OutputConfig, tmp_path: Path) -> None:
    path = tmp_path / "a"
    packet = xmp_packet(tool="t", description="d")
    composite = packet.replace("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia")
    for xmp, expected in ((packet, True), (composite, True), (packet.replace("trainedAlgorithmicMedia", "x"), False)):
        path.write_bytes(encode_image(image, output, xmp=xmp))
        assert says_synthetic(path) is expected
    path.write_bytes(b"words")
    assert not says_synthetic(path)
    assert not says_synthetic(tmp_path / "gone")
