"""Which pictures a cell of the column references means, a folder or a COCO category, and how they are opened."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from generator.foundation.geometry import Box
from generator.spec.references import Reference, content_hash, find_references, open_reference, reference_fault, sample


def put(path: Path, data: bytes = b"a picture, it is not opened here") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def coco(*boxes: list[float], **given: object) -> dict[str, object]:
    return {
        "images": [{"id": 1, "file_name": "one.png"}],
        "categories": [{"id": 1, "name": "cow"}, {"id": 2, "name": "wolf"}],
        "annotations": [{"id": n, "image_id": 1, "category_id": 1, "bbox": box} for n, box in enumerate(boxes, 1)],
        **given,
    }


def put_coco(path: Path, content: object) -> None:
    put(path, (content if isinstance(content, str) else json.dumps(content)).encode())


# A folder.


def test_an_empty_cell_means_no_references(tmp_path):
    assert find_references("", tmp_path) == []
    assert reference_fault("classes.csv", 2, "", tmp_path) is None


def test_a_folder_is_searched_to_the_bottom_in_the_order_of_names(tmp_path):
    for name in ("b.PNG", "a.jpeg", "deep/er/c.webp", "deep/d.tif", "notes.txt", "deep/e.gif", "Thumbs.db"):
        put(tmp_path / "cows" / name)
    (tmp_path / "cows" / "folder.png").mkdir()
    found = find_references("cows", tmp_path)
    names = [str(item.path.relative_to(tmp_path / "cows")) for item in found]
    assert names == ["a.jpeg", "b.PNG", "deep/d.tif", "deep/er/c.webp"]
    assert {item.box for item in found} == {None}
    assert [item.name for item in found] == ["a.jpeg", "b.PNG", "d.tif", "c.webp"]


@pytest.mark.parametrize("cell", ["cows", "./cows", "cows/", "inner/../cows", "{absolute}"])
def test_paths_count_from_the_csv_files_folder(tmp_path, cell):
    put(tmp_path / "cows" / "a.png")
    (tmp_path / "inner").mkdir()
    assert len(find_references(cell.format(absolute=tmp_path / "cows"), tmp_path)) == 1


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("none", "no such folder"),
        ("file.png", "no such folder"),
        ("empty", "holds no pictures (.png"),
        ("x" * 300, "cannot be read"),  # longer than a name may be
        ("coco:", "the form is coco:FILE#category"),
        ("coco:set", "the form is coco:FILE#category"),
        ("coco:set#", "the form is coco:FILE#category"),
        ("coco:#cow", "the form is coco:FILE#category"),
        ("coco:none.json#cow", "no COCO file"),
        ("coco:empty#cow", "no COCO file"),
        (f"coco:{'x' * 300}#cow", "cannot be read"),
        ("coco:set#dog", "there is no category 'dog'; known: cow, wolf"),
        ("coco:set#Cow", "there is no category 'Cow'; known: cow, wolf"),
        ("coco:set#wolf", "the category 'wolf' has no boxes"),
    ],
)
def test_faults_of_a_cell(tmp_path, cell, words):
    put(tmp_path / "file.png")
    (tmp_path / "empty").mkdir()
    put_coco(tmp_path / "set" / "annotations" / "a.json", coco([1, 2, 3, 4]))
    with pytest.raises(ValueError, match=r".") as caught:
        find_references(cell, tmp_path)
    assert words in str(caught.value)
    fault = reference_fault("classes.csv", 7, cell, tmp_path)
    assert (fault.file, fault.line, fault.column, fault.found) == ("classes.csv", 7, "references", cell)
    assert words in fault.expected


# A COCO data set.


@pytest.mark.parametrize(
    ("file", "image", "cell"),
    [
        ("set/annotations/train.json", "set/images/one.png", "coco:set#cow"),
        ("set/annotations/train.json", "set/one.png", "coco:set#cow"),
        ("set/annotations/train.json", "set/images/one.png", "coco:set/annotations/train.json#cow"),
        ("set/_annotations.coco.json", "set/one.png", "coco:set/_annotations.coco.json#cow"),
        ("set/instances.json", "set/images/one.png", "coco:set/instances.json#cow"),
        # COCO's own layout, both ways in which people unpack it.
        ("set/annotations/instances_val2017.json", "set/images/val2017/one.png", "coco:set#cow"),
        ("set/annotations/instances_val2017.json", "set/val2017/one.png", "coco:set#cow"),
    ],
)
def test_where_the_pictures_of_a_coco_set_lie(tmp_path, file, image, cell):
    put(tmp_path / image)
    put_coco(tmp_path / file, coco([10, 5, 8, 4]))
    (found,) = find_references(cell, tmp_path)
    assert found == Reference(path=tmp_path / image, box=Box.from_xyxy(10, 5, 18, 9))
    assert found.name == "one.png@10,5,18,9"


def test_captions_and_keypoints_beside_the_boxes_do_no_harm(tmp_path):
    put(tmp_path / "set/val2017/one.png")
    put_coco(tmp_path / "set/annotations/instances_val2017.json", coco([10, 5, 8, 4]))
    put_coco(tmp_path / "set/annotations/captions_val2017.json", {"images": [], "annotations": []})
    put_coco(tmp_path / "set/annotations/person_keypoints_val2017.json", coco([10, 5, 8, 4]))
    assert len(find_references("coco:set#cow", tmp_path)) == 1


def test_several_files_of_a_set_and_boxes_of_one_category(tmp_path):
    put_coco(tmp_path / "set/annotations/val.json", coco([1, 1, 5, 5], images=[{"id": 1, "file_name": "two.png"}]))
    annotations = [
        {"image_id": 1, "category_id": 1, "bbox": [9.6, 0.4, 5.2, 5]},
        {"image_id": 1, "category_id": 2, "bbox": [0, 0, 5, 5]},  # a wolf
        {"image_id": 1, "category_id": 1, "bbox": [3, 3, 0.2, 5]},  # no pixel wide
        {"image_id": 9, "category_id": 1, "bbox": [0, 0, 5, 5]},  # of no picture
        {"image_id": 1, "category_id": 1, "bbox": [-2.4, -3, 5, 5]},
    ]
    put_coco(tmp_path / "set/annotations/train.json", coco(annotations=annotations))
    found = find_references("coco:set#cow", tmp_path)
    # round(9.6 + 5.2) is 15; what lies left of the picture is cut off.
    expected = [("one.png", (0, 0, 3, 2)), ("one.png", (10, 0, 15, 5)), ("two.png", (1, 1, 6, 6))]
    assert [(item.path.name, item.box.xyxy) for item in found] == expected


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        "[" * 100_000,
        coco(images=None),
        coco(categories=[{"id": 1}]),
        coco(annotations=[{"image_id": 1, "category_id": 1}]),
        coco([1, 2, 3]),
        coco(["a", "b", "c", "d"]),
        coco([1, 2, float("nan"), 4]),
        coco([1, 2, float("inf"), 4]),
        coco([1, 2, 3, 4], images=[{"id": 1, "file_name": 7}]),
        coco([1, 2, 3, 4], categories=[{"id": [1], "name": "cow"}]),
    ],
)
def test_a_file_that_is_no_coco(tmp_path, content):
    put_coco(tmp_path / "a.json", content)
    with pytest.raises(ValueError, match=r"a\.json cannot be read as COCO"):
        find_references("coco:a.json#cow", tmp_path)


# Which of many, and what a cached caption hangs on.


@pytest.mark.parametrize(
    ("number", "most", "expected"),
    [
        (0, 3, []),
        (1, 3, [0]),
        (3, 3, [0, 1, 2]),
        (4, 3, [0, 1, 2]),
        (5, 2, [0, 2]),
        (10, 4, [0, 2, 5, 7]),
        (100, 1, [0]),
    ],
)
def test_sample_is_spread_over_the_list(number, most, expected):
    references = [Reference(path=Path(f"{n}.png")) for n in range(number)]
    assert [references.index(item) for item in sample(references, most)] == expected


def test_the_hash_follows_bytes_and_box_and_not_the_name(tmp_path):
    one, same, other = (
        put(tmp_path / name, data) for name, data in (("a.png", b"1"), ("b.jpg", b"1"), ("c.png", b"2"))
    )
    assert content_hash(Reference(path=one)) == hashlib.sha256(b"1").hexdigest()
    assert content_hash(Reference(path=one)) == content_hash(Reference(path=same))
    boxes = [None, Box.from_xyxy(0, 0, 1, 1), Box.from_xyxy(0, 0, 1, 2)]
    hashes = {content_hash(Reference(path=path, box=box)) for path in (one, other) for box in boxes}
    assert len(hashes) == 6


# Opened: upright, in RGB, cut to the box; or one reason why it cannot be.

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


def opened(path: Path, box: tuple[int, int, int, int] | None = None) -> Image.Image:
    return open_reference(Reference(path=path, box=Box.from_xyxy(*box) if box else None))


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
    result = opened(put(tmp_path / "a.png", encoded()), box)
    x_min, y_min, x_max, y_max = expected
    assert np.array_equal(np.asarray(result), np.asarray(picture())[y_min:y_max, x_min:x_max])


@pytest.mark.parametrize("box", [(40, 0, 50, 10), (0, 20, 10, 30), (100, 100, 110, 110)])
def test_a_box_outside_of_the_picture(tmp_path, box):
    with pytest.raises(ValueError, match="lies outside of the picture"):
        opened(put(tmp_path / "a.png", encoded()), box)


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
        opened(put(tmp_path / "a.png", encoded()))


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
