from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from generator.dataset.record import SceneRecord, decode_mask, encode_mask, read_record, record_of
from generator.foundation.errors import DatasetError
from generator.foundation.geometry import Box
from generator.plan import Placement, ScenePlan, Unplaced
from generator.types import Attempt, PaintedObject, Scene, Verdict, label_from_mask

CANVAS_HW = (60, 80)


def placement(index: int, x: int, y: int) -> Placement:
    return Placement(
        object_index=index,
        category="cell",
        prompt='a "white" cell, <stained>',
        negative_prompt="blur",
        box=Box.from_xywh(x, y, 20, 10),
        seed=2**63 - 1,  # the largest there is: must not turn into a float
        blender="feather",
    )


def attempt(number: int, *, passed: bool) -> Attempt:
    verdict = Verdict(
        check="changed_area", passed=passed, score=0.7 if passed else 0.01, reason="" if passed else "few"
    )
    return Attempt(number=number, seed=number + 10, verdicts=(verdict,))


@pytest.fixture
def canvas_mask() -> np.ndarray:
    mask = np.zeros(CANVAS_HW, bool)
    mask[20:28, 10:30] = True
    mask[20:24, 20:30] = False  # an L: neither its box nor symmetric
    return mask


@pytest.fixture
def scene(canvas_mask: np.ndarray) -> Scene:
    """One object painted at the second attempt, one dropped, one without a place."""
    wishes = placement(0, 10, 20), placement(1, 50, 30)
    return Scene(
        plan=ScenePlan(
            index=12,
            split="val",
            prompt="a blood smear – größer 🩸",
            negative_prompt="",
            seed=5,
            placements=wishes,
            unplaced=(Unplaced(object_index=2, category="cell", size_wh=(30, 20), reason="no free place"),),
        ),
        image=np.zeros((*CANVAS_HW, 3), np.uint8),
        background_attempts=(attempt(0, passed=True),),
        background_taken=0,
        objects=(
            PaintedObject(
                placement=wishes[0],
                crop=Box.from_xywh(0, 0, 64, 60),
                region=Box.from_xywh(0, 0, 64, 60),
                attempts=(attempt(0, passed=False), attempt(1, passed=True)),
                label=label_from_mask(canvas_mask),
            ),
            PaintedObject(
                placement=wishes[1],
                crop=Box.from_xywh(16, 0, 64, 60),
                region=Box.from_xywh(16, 0, 64, 60),
                attempts=(attempt(0, passed=False),),
                label=None,
                dropped="few",
            ),
        ),
    )


@pytest.fixture
def record(scene: Scene) -> SceneRecord:
    return record_of(scene, file_name="000012.png", sha256="ab" * 32, batch_size=2)


def test_a_record_says_what_was_painted(record: SceneRecord) -> None:
    assert (record.index, record.split, record.width, record.height) == (12, "val", 80, 60)
    painted, dropped = record.objects
    assert (painted.requested_box, painted.painted_box, painted.crop) == (
        (10, 20, 30, 30),
        (10, 20, 30, 28),
        (0, 0, 64, 60),
    )
    assert [item.number for item in painted.attempts] == [0, 1]
    assert painted.visible_share == 1.0
    assert (dropped.painted_box, dropped.mask, dropped.visible_share, dropped.dropped) == (None, None, None, "few")
    assert (record.unplaced[0].object_index, record.unplaced[0].size_wh) == (2, (30, 20))


def test_the_mask_is_that_of_the_whole_canvas(record: SceneRecord, canvas_mask: np.ndarray) -> None:
    rle = record.objects[0].mask
    assert rle is not None
    assert rle.size == CANVAS_HW
    assert np.array_equal(decode_mask(rle), canvas_mask)


def test_a_record_comes_back_from_its_file_as_it_was(record: SceneRecord, tmp_path: Path) -> None:
    path = tmp_path / "000012.json"
    path.write_text(record.model_dump_json(indent=1), encoding="utf-8")
    assert read_record(path) == record
    plain = json.loads(path.read_bytes())
    assert plain["objects"][0]["seed"] == 2**63 - 1
    assert plain["objects"][0]["requested_box"] == [10, 20, 30, 30]


def test_equal_scenes_give_equal_bytes(scene: Scene) -> None:
    first, second = (record_of(scene, file_name="a.png", sha256="0", batch_size=2).model_dump_json() for _ in range(2))
    assert first == second


@settings(max_examples=100, deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.booleans()))
def test_masks_survive_encoding(mask: np.ndarray) -> None:
    decoded = decode_mask(encode_mask(mask))
    assert (decoded.dtype, decoded.shape) == (bool, mask.shape)
    assert np.array_equal(decoded, mask)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda text: text[: len(text) // 2], "JSON", id="cut short"),
        pytest.param(lambda _: "", "JSON", id="empty"),
        pytest.param(lambda _: "\x00" * 200, "JSON", id="zeros, as after a power cut"),
        pytest.param(lambda _: "[]", "object", id="a list"),
        pytest.param(lambda text: text.replace('"index":12', '"index":"twelve"'), "index", id="a word for a number"),
        pytest.param(lambda text: text.replace('"index":12,', ""), "index", id="a field missing"),
        pytest.param(lambda text: text.replace('"index":12', '"index":12,"idnex":1'), "idnex", id="a field too many"),
        pytest.param(lambda text: text.replace("[10,20,30,28]", "[10,20,30]"), "painted_box", id="a box of three"),
    ],
)
def test_a_broken_record_is_named(
    record: SceneRecord, tmp_path: Path, change: Callable[[str], str], words: str
) -> None:
    text = record.model_dump_json()
    broken = change(text)
    assert broken != text
    path = tmp_path / "000012.json"
    path.write_text(broken, encoding="utf-8")
    with pytest.raises(DatasetError) as raised:
        read_record(path)
    assert str(path) in str(raised.value)
    assert words in str(raised.value)
    assert "delete this file, and the same `boxpaint generate` paints its scene again" in str(raised.value)


def test_bytes_that_are_no_text_are_a_broken_record(tmp_path: Path) -> None:
    path = tmp_path / "000000.json"
    path.write_bytes(b"\xff\xfe\x00{")
    with pytest.raises(DatasetError, match=r"000000\.json"):
        read_record(path)
