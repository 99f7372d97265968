from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from generator.dataset.record import SceneRecord, decode_mask, encode_mask, read_record, record_of
from generator.foundation.errors import DatasetError
from generator.plan import ScenePlan, Unplaced
from generator.types import Scene
from tests.generator.records import painted_object

CANVAS_HW = (60, 80)


@pytest.fixture
def canvas_mask() -> np.ndarray:
    mask = np.zeros(CANVAS_HW, bool)
    mask[20:28, 10:30] = True
    mask[20:24, 20:30] = False  # an L: neither its box nor symmetric
    return mask


@pytest.fixture
def record(canvas_mask: np.ndarray) -> SceneRecord:
    """One object painted at the second attempt, one dropped, one without a place."""
    painted, dropped = (
        painted_object(number, "cell", mask, canvas_wh=(80, 60), attempts=2)
        for number, mask in enumerate((canvas_mask, None))
    )
    # The largest seed there is: must not turn into a float.
    wish = replace(painted.placement, prompt='a "white" cell, <stained>', seed=2**63 - 1)
    plan = ScenePlan(
        index=12,
        split="val",
        prompt="a blood smear – größer 🩸",
        negative_prompt="",
        seed=5,
        placements=(wish, dropped.placement),
        unplaced=(Unplaced(object_index=2, category="cell", size_wh=(30, 20), reason="no free place"),),
    )
    scene = Scene(
        plan=plan,
        image=np.zeros((*CANVAS_HW, 3), np.uint8),
        background_attempts=(),
        background_taken=0,
        objects=(replace(painted, placement=wish), replace(dropped, dropped="few")),
    )
    return record_of(scene, file_name="000012.png", sha256="ab" * 32, batch_size=2)


def test_a_record_says_what_was_painted(record: SceneRecord) -> None:
    assert (record.index, record.split, record.width, record.height) == (12, "val", 80, 60)
    painted, dropped = record.objects
    boxes = painted.requested_box, painted.painted_box, painted.crop
    assert boxes == ((4, 6, 24, 16), (10, 20, 30, 28), (0, 0, 80, 60))
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
    assert plain["objects"][0]["requested_box"] == [4, 6, 24, 16]


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
        pytest.param(lambda _: "\udcff\udcfe\x00{", "000012.json", id="no text"),
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
    path.write_bytes(broken.encode(errors="surrogateescape"))
    with pytest.raises(DatasetError) as raised:
        read_record(path)
    assert str(path) in str(raised.value)
    assert words in str(raised.value)
    assert "delete this file, and the same `boxpaint generate` paints its scene again" in str(raised.value)
