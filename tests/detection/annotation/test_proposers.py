"""Whatever finds objects proposes them: by words, or of some classes alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from detection.annotation.proposers import ChosenClasses, WordProposer
from detection.detectors.types import Detections
from generator.foundation.errors import DatasetError
from generator.foundation.geometry import Box

PICTURE = np.zeros((60, 80, 3), np.uint8)


class Known:
    """Finds what it was told that words mean."""

    def __init__(self, found: dict[str, list[tuple[tuple[int, int, int, int], float]]]):
        self.found = found

    def find(self, picture: np.ndarray, texts: Sequence[str]) -> list[tuple[Box, float]]:
        assert picture is PICTURE
        return [(Box.from_xyxy(*box), score) for text in texts for box, score in self.found.get(text, [])]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param(
            {"a lion": [((0, 0, 10, 10), 0.4)], "a zebra": [((30, 0, 50, 20), 0.9)]},
            [(2, 0.9, [30, 0, 50, 20]), (1, 0.4, [0, 0, 10, 10])],
            id="the surest first",
        ),
        pytest.param(
            {"a lion": [((0, 0, 10, 10), 0.4)], "a zebra": [((0, 0, 10, 9), 0.5)]},
            [(2, 0.5, [0, 0, 10, 9])],
            id="one object as two classes is what fits better",
        ),
        pytest.param(
            {"a zebra": [((0, 0, 10, 10), 0.4)], "a zebra from behind": [((5, 0, 15, 10), 0.3)]},
            [(2, 0.4, [0, 0, 10, 10]), (2, 0.3, [5, 0, 15, 10])],
            id="two objects that overlap a little stay two",
        ),
    ],
)
def test_words_find_objects(found: dict, expected: list[tuple[int, float, list[int]]]) -> None:
    proposer = WordProposer(Known(found), {"lion": ["a lion"], "zebra": ["a zebra", "a zebra from behind"]})
    assert proposer.categories == ("lion", "zebra")
    (answer,) = proposer.predict([PICTURE])
    assert answer.masks is None
    assert answer.boxes_xyxy.shape == (len(expected), 4)
    rows = zip(answer.labels.tolist(), answer.scores.tolist(), answer.boxes_xyxy.tolist(), strict=True)
    assert [(label, pytest.approx(score), box) for label, score, box in rows] == expected


class Three:
    """One object of each of three classes, with masks."""

    categories = ("ant", "bee", "cat")

    def predict(self, pictures: Sequence[np.ndarray], *, with_masks: bool = True) -> list[Detections]:
        boxes = np.array([[0, 0, 4, 4], [10, 0, 14, 4], [20, 0, 24, 4]], np.float32)
        masks = np.zeros((3, 60, 80), bool)
        masks[0, 0] = masks[2, 2] = True
        scores = np.array([0.9, 0.8, 0.7], np.float32)
        found = Detections(boxes_xyxy=boxes, labels=np.array([1, 2, 3]), scores=scores, masks=masks)
        return [found] * len(pictures)


def test_some_classes_alone_in_the_order_asked_for() -> None:
    chosen = ChosenClasses(Three(), ["CAT", "ant"])
    assert chosen.categories == ("cat", "ant")
    (found,) = chosen.predict([PICTURE])
    assert found.labels.tolist() == [2, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])
    assert found.masks is not None
    assert found.masks[1, 2].all()


def test_a_class_that_the_run_lacks_is_one_message() -> None:
    with pytest.raises(DatasetError, match="--classes: found 'dog'; no class of this run; its classes: ant, bee, cat"):
        ChosenClasses(Three(), ["dog", "cat"])
