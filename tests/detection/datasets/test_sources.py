import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detection.calibration.scale import choose_boxes
from detection.datasets.sources import (
    Source,
    check_validation,
    default_validation,
    match_sources,
    read_source,
)
from generator.foundation.errors import BoxpaintError, DatasetError
from tests.detection.discs import disc_splits


def made(folder: Path, *splits: str) -> Path:
    disc_splits(folder, dict.fromkeys(splits, 3), seed=1)
    return folder


@pytest.mark.parametrize(
    ("splits", "role", "expected"),
    [
        (("train", "val", "test"), "real", ("train",)),
        (("train", "val", "test"), "synthetic", ("test", "train", "val")),
        (("train", "val", "test"), "validation", ("val",)),
        (("train", "val", "test"), "scored", ("test",)),
        (("train", "valid"), "validation", ("valid",)),
        (("train", "val"), "scored", ("val",)),
        (("a", "b"), "scored", ("a", "b")),
        (("a", "b", "test", "val"), "real", ("a", "b")),
        (("val",), "real", ("val",)),
        (("all",), "validation", ("all",)),
        (("test2017", "train2017", "val2017"), "real", ("train2017",)),
        (("test2017", "train2017", "val2017"), "validation", ("val2017",)),
        (("test2017", "train2017", "val2017"), "scored", ("test2017",)),
        (("Test", "Train"), "trained", ("Train",)),
        (("train", "trainval"), "real", ("train",)),
        (("a", "b", "test_hard"), "real", ("a", "b")),
    ],
)
def test_which_splits_a_role_reads(tmp_path: Path, splits: tuple[str, ...], role, expected: tuple[str, ...]) -> None:
    source = read_source(str(made(tmp_path, *splits)), role)
    assert source.splits == expected
    assert len(source.data) == 3 * len(expected)
    assert source.name == f"{tmp_path}:{'+'.join(expected)}"


@pytest.mark.parametrize(
    ("splits", "text", "role", "words"),
    [
        (("train", "test"), "{}:test", "real", "'test' of real pictures is kept for `boxpaint evaluate`"),
        (("train", "test"), "{}:test", "validation", "'test' of real pictures is kept"),
        (("test",), "{}", "real", "'test' of real pictures is kept"),
        (("Test",), "{}", "real", "'test' of real pictures is kept"),
        (("train", "test"), "{}:instances_test", "trained", "'test' of real pictures is kept"),
        (("train", "test2017"), "{}:test2017", "validation", "'test' of real pictures is kept"),
        (("test",), "{}/annotations/instances_test.json", "real", "'test' of real pictures is kept"),
        (("a", "b"), "{}", "validation", "which split? Name one: {}:a, {}:b"),
        (("a",), "{}:moon", "real", "there is no split 'moon'; splits: a"),
        (("a",), "{}/annotations/instances_a.json:moon", "real", "has no splits, so no 'moon'"),
        (("a",), "{}/nowhere", "real", "there is no such file or folder"),
    ],
)
def test_splits_that_cannot_be_read(tmp_path: Path, splits: tuple[str, ...], text: str, role, words: str) -> None:
    made(tmp_path, *splits)
    with pytest.raises(DatasetError) as caught:
        read_source(text.format(tmp_path), role)
    assert words.replace("{}", str(tmp_path)) in str(caught.value)


def test_a_file_or_a_named_split_is_read_as_it_is(tmp_path: Path) -> None:
    made(tmp_path, "train", "test")
    assert read_source(str(tmp_path / "annotations" / "instances_train.json"), "real").splits == ()
    for role in ("synthetic", "scored"):
        assert read_source(str(tmp_path / "annotations" / "instances_test.json"), role).splits == ()
        for text in (f"{tmp_path}:test", f"{tmp_path}:instances_test"):
            assert read_source(text, role).splits == ("test",)
    with_colon = tmp_path.with_name(f"{tmp_path.name}:x")
    shutil.copytree(tmp_path, with_colon)
    assert read_source(str(with_colon), "real").splits == ("train",)
    shutil.rmtree(with_colon)


def test_a_set_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    with pytest.raises(DatasetError, match="no pictures are in it"):
        read_source(str(tmp_path), "real")


def test_the_real_sets_own_validation_split(tmp_path: Path) -> None:
    made(tmp_path, "train", "val", "test")
    source = default_validation(str(tmp_path))
    assert source is not None
    assert source.splits == ("val",)
    assert default_validation(f"{tmp_path}:train") is None
    assert default_validation(str(tmp_path / "annotations" / "instances_train.json")) is None
    (tmp_path / "annotations" / "instances_val.json").unlink()
    assert default_validation(str(tmp_path)) is None


def test_splits_with_other_lists_of_categories_are_joined(tmp_path: Path) -> None:
    made(tmp_path, "a", "b")
    file = tmp_path / "annotations" / "instances_b.json"
    content = json.loads(file.read_text())
    content["categories"] = [{"id": 2, "name": "blue"}, {"id": 9, "name": "green"}]
    content["annotations"] = [item for item in content["annotations"] if item["category_id"] == 2]
    file.write_text(json.dumps(content))
    source = read_source(str(tmp_path), "synthetic")
    assert source.data.categories == ("red", "blue", "green")
    # Three pictures of a split: red, blue, both.
    assert source.data.counts() == {"red": 2, "blue": 4, "green": 0}


def test_sources_are_brought_to_the_same_categories(tmp_path: Path) -> None:
    real = read_source(str(made(tmp_path / "real", "train")), "real")
    painted = read_source(str(made(tmp_path / "painted", "train")), "synthetic")
    painted = replace(painted, data=replace(painted.data, categories=("ROT", "Blue")))
    with pytest.raises(BoxpaintError, match="the data sets hold different categories"):
        match_sources([real, painted], None, {})
    matched = match_sources([real, painted], None, {"rot": "red"})
    assert [source.data.categories for source in matched] == [("red", "blue")] * 2
    (only,) = match_sources([painted], ("blue",), {})
    assert only.data.counts() == {"blue": 2}
    with pytest.raises(BoxpaintError, match="--rename: there is no category moon; known: red, blue"):
        match_sources([real], None, {"moon": "x"})


def test_digests_are_those_of_the_content(tmp_path: Path) -> None:
    source = read_source(str(made(tmp_path / "a", "train")), "real")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    copy = read_source(str(tmp_path / "b"), "real")
    assert copy.digest == source.digest
    assert copy.describe() == {**source.describe(), "path": str(tmp_path / "b")}
    assert source.describe()["objects"] == {"red": 2, "blue": 2}
    moved = source.data.samples[0].with_boxes(source.data.samples[0].boxes_xyxy + 1)
    changed = replace(source, data=replace(source.data, samples=(moved, *source.data.samples[1:])))
    assert changed.digest != source.digest
    copy.data.samples[0].path.write_bytes(b"other")
    assert read_source(str(tmp_path / "b"), "real").digest != source.digest


def test_pictures_may_not_be_trained_and_validated_on(tmp_path: Path) -> None:
    made(tmp_path, "train", "val")
    train, val = read_source(str(tmp_path), "real"), read_source(str(tmp_path), "validation")
    check_validation([train], val)
    shutil.copy(train.data.samples[1].path, val.data.samples[2].path)
    with pytest.raises(DatasetError) as caught:
        check_validation([train], read_source(str(tmp_path), "validation"))
    for words in (f"{tmp_path}:val", "1 of its pictures", "disc_val_002.png", "--no-validation"):
        assert words in str(caught.value)


def test_validation_pictures_need_something_to_find(tmp_path: Path) -> None:
    made(tmp_path, "train", "val")
    train, val = read_source(str(tmp_path), "real"), read_source(str(tmp_path), "validation")
    empty = replace(val, data=val.data.choose([]))
    with pytest.raises(DatasetError, match="there is no object of red, blue in these validation pictures"):
        check_validation([train], empty)


def test_boxes_of_painted_pictures(tmp_path: Path, short_scale_training: None) -> None:
    source = read_source(str(made(tmp_path, "train")), "synthetic")
    first = source.data.samples[0]
    asked = replace(first, requested_xyxy=first.boxes_xyxy + np.float32(2))
    source = replace(source, data=replace(source.data, samples=(asked, *source.data.samples[1:])))
    assert choose_boxes(source, "tight", None).boxes == "tight"
    requested = choose_boxes(source, "requested", None)
    assert requested.data.samples[0].boxes_xyxy.tolist() == asked.requested_xyxy.tolist()
    assert requested.data.samples[1].boxes_xyxy.tolist() == source.data.samples[1].boxes_xyxy.tolist()
    with pytest.raises(BoxpaintError, match="--boxes calibrated: real boxes are needed"):
        choose_boxes(source, "calibrated", None)
    calibrated = choose_boxes(source, "calibrated", _widened(source))
    assert calibrated.boxes == "calibrated"
    told = calibrated.describe()["scales"]
    assert 1 <= told["red"]["real_boxes"] <= told["red"]["painted_boxes"] == 2
    assert told["red"]["factor"] == calibrated.scales["red"].factor > 1
    assert "scales" not in requested.describe()
    assert _area(calibrated) > 1.05 * _area(source)


def _area(source: Source) -> float:
    boxes = np.concatenate([sample.boxes_xyxy for sample in source.data.samples])
    return float(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1).mean())


def _widened(source: Source) -> Source:
    """As a person draws boxes that are a fourth too large."""
    samples = []
    for sample in source.data.samples:
        margin = (sample.boxes_xyxy[:, 2:] - sample.boxes_xyxy[:, :2]) / 8
        boxes = np.concatenate([sample.boxes_xyxy[:, :2] - margin, sample.boxes_xyxy[:, 2:] + margin], axis=1)
        samples.append(sample.with_boxes(boxes))
    return replace(source, role="real", data=replace(source.data, samples=tuple(samples)))
