from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from boxpaint.studio import MAX_MEGABYTES
from boxpaint.studio.analysis import analyse, find_classifier, look_at, read_photo, result_zip
from detection.classifier.model_folder import save_classifier
from detection.classifier.models import build_classifier
from detection.datasets.types import Detections
from generator.foundation.errors import BoxpaintError, ModelNotFoundError
from generator.foundation.geometry import Box

CLASSES = ("white blood cell", "platelet")


class OneDisc:
    """A detector that says where the disc of `photo` lies, without masks, and something unsure beside it."""

    categories = CLASSES

    def predict(self, pictures: list[np.ndarray], *, with_masks: bool = True) -> list[Detections]:
        boxes = np.array([[30, 20, 71, 61], [0, 0, 10, 10]], np.float32)
        scores = np.array([0.9, 0.2], np.float32)
        return [Detections(boxes_xyxy=boxes, labels=np.array([2, 1]), scores=scores) for _ in pictures]


def photo() -> np.ndarray:
    y, x = np.mgrid[:90, :120]
    picture = np.full((90, 120, 3), 200, np.uint8)
    picture[(x - 50) ** 2 + (y - 40) ** 2 <= 20**2] = (90, 20, 120)
    return picture


def encoded(kind: str, picture: np.ndarray | None = None) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photo() if picture is None else picture).save(buffer, kind)
    return buffer.getvalue()


def huge_png(side: int) -> bytes:
    """A PNG whose head says side x side pixels: what a decoder would have to make room for."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
def test_photos_of_the_usual_formats_are_read(kind: str) -> None:
    read = read_photo(encoded(kind))
    assert read.shape == (90, 120, 3)
    assert read.dtype == np.uint8


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (huge_png(30_000), r"900000000 pixels"),  # Pillow's own limit
        (huge_png(6_000), "has 6000 x 6000 pixels; 24,000,000 in all are the most"),
        (encoded("JPEG")[:400], "cannot be used"),
        (b"this is a text, whatever its name says", "is no picture, or a damaged one"),
        (b"", "is no picture, or a damaged one"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture, or a damaged one"),
        (b"\0" * (MAX_MEGABYTES * 1_000_000 + 1), "20 are the most"),
    ],
    ids=["huge", "large", "truncated", "text", "empty", "PostScript", "heavy"],
)
def test_anything_else_is_refused_in_one_line(data: bytes, message: str) -> None:
    with pytest.raises(BoxpaintError, match=message) as raised:
        read_photo(data)
    assert "\n" not in str(raised.value)


def test_objects_are_found_outlined_and_written_as_segment_does() -> None:
    found = analyse(photo(), OneDisc(), min_score=0.5)
    (row,) = found.rows()
    assert (row["class"], row["score"]) == ("platelet", 0.9)
    disc = 20**2 * np.pi
    assert 0.9 * disc < row["pixels"] < 1.15 * disc
    semantic = np.array(found.semantic)
    assert np.array_equal(semantic.any(axis=2), np.array(found.instances).any(axis=2))
    assert found.boxes.width >= 120
    assert found.overlay.width == 120
    with zipfile.ZipFile(io.BytesIO(result_zip(found, "a purple cell"))) as archive:
        assert {"instances.json", "pictures.json", "overlays/photo.png", "semantic/photo.png", "caption.txt"} <= {
            *archive.namelist()
        }
        (item,) = json.loads(archive.read("instances.json"))
    assert item["bbox"] == [30, 20, 41, 41]


def test_nothing_found_is_an_answer_too() -> None:
    found = analyse(photo(), OneDisc(), min_score=0.95)
    assert found.rows() == []
    assert not np.array(found.semantic).any()
    with zipfile.ZipFile(io.BytesIO(result_zip(found, ""))) as archive:
        assert json.loads(archive.read("instances.json")) == []


def test_a_classifier_says_what_it_sees_and_where_it_looks(tmp_path: Path) -> None:
    for arm, margin in (("augmented-0", 0.1), ("original-0", 0.2)):
        model = build_classifier("small", CLASSES, "none", seed=0)
        save_classifier(model, tmp_path / "models" / arm, margin=margin)
    classifier, card = find_classifier(tmp_path)
    assert card.margin == 0.1, "that with painted crops"
    (tmp_path / "models" / "original-0" / "model.onnx").write_bytes(b"")
    assert find_classifier(tmp_path)[1].margin == 0.2, "the best one"
    (look,) = look_at(photo(), [Box.from_xyxy(30, 20, 71, 61)], classifier, card)
    assert look.said in CLASSES
    assert 0.5 <= look.probability <= 1
    assert look.view.shape == look.heat.shape == (64, 64, 3)
    pixels = torch.from_numpy(look.view)[None].permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        assert classifier(pixels).softmax(1).max().item() == pytest.approx(look.probability, abs=1e-5)
    assert len(look_at(photo(), [], classifier, card)) == 1
    with pytest.raises(ModelNotFoundError, match="no classifier is there"):
        find_classifier(tmp_path / "models")
