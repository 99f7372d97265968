"""A data set without masks is refused, with what is missing."""

import json
from pathlib import Path
from typing import Any

import pytest

from detection.segmenter.labels import check_masks
from generator.errors import DatasetError
from tests.detection.discs import disc_splits


@pytest.fixture()
def discs(tmp_path: Path) -> Path:
    """Six pictures of one split, three of the other; eight and four discs."""
    disc_splits(tmp_path, {"train": 6, "val": 3}, seed=0)
    return tmp_path


def change(discs: Path, split: str, **values: Any) -> Path:
    """Set keys of the first annotation of a split."""
    file = discs / "annotations" / f"instances_{split}.json"
    content = json.loads(file.read_text())
    content["annotations"][0].update(values)
    file.write_text(json.dumps(content))
    return file


def test_masks_everywhere_are_fine(discs: Path) -> None:
    check_masks(discs)
    check_masks(discs, ["val"])
    check_masks(discs / "annotations" / "instances_train.json")


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ([], "1 of 8 objects have no segmentation, and a segmenter is trained and scored by masks: annotations 1"),
        ([[1, 2, 3, 4]], "column 'annotation 1': the mask cannot be used: it is neither polygons nor"),
        ({"size": [48, 64], "counts": [48 * 64]}, "the mask cannot be used: it is empty"),
        ({"size": [10, 20], "counts": [0, 200]}, "the mask cannot be used: it is 20 x 10 px, its picture 64 x 48"),
        ("rubbish", "the mask cannot be used: it is neither polygons nor"),
    ],
)
def test_a_mask_that_cannot_be_used_is_named(discs: Path, segmentation: Any, words: str) -> None:
    file = change(discs, "train", segmentation=segmentation)
    for path, splits in ((discs, ()), (discs, ("train",)), (file, ())):
        with pytest.raises(DatasetError) as error:
            check_masks(path, splits)
        assert str(error.value).startswith(f"{file}: column ")
        assert words in str(error.value)
    check_masks(discs, ("val",))


@pytest.mark.parametrize("values", [{"iscrowd": 1}, {"bbox": [3, 3, 0, 5]}, {"image_id": 99}])
def test_what_is_left_out_needs_no_mask(discs: Path, values: dict[str, Any]) -> None:
    change(discs, "train", segmentation=[], **values)
    check_masks(discs)


def test_a_long_list_is_cut(discs: Path) -> None:
    file = discs / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    content["annotations"] = [
        {**content["annotations"][0], "id": number, "segmentation": []} for number in range(1, 31)
    ]
    file.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"30 of 30 objects .* 19, 20 and 10 more$"):
        check_masks(discs)
