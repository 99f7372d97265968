"""Decisions about single objects: kept, read back, applied."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from generator.dataset.record import SceneRecord
from generator.dataset.review import REVIEW, Choice, Decision, Review, accepted_attempt, decide, read_review
from generator.foundation.errors import DatasetError
from generator.types import PaintedObject
from tests.generator.records import painted_object, record_of_objects

CLASSES = ("cell", "platelet")
SAID = {"scene": 1, "object_index": 0, "attempt": 0, "decision": "accept"}
MASK = np.zeros((20, 20), bool)
MASK[1:8, 1:8] = True


def item(number: int, *, attempts: int = 1, painted: bool = True) -> PaintedObject:
    return painted_object(number, "cell", MASK if painted else None, canvas_wh=(20, 20), attempts=attempts)


def scene(index: int, *items: PaintedObject) -> SceneRecord:
    return record_of_objects(items, canvas_wh=(20, 20), index=index)


def said(
    decision: Choice, *, index: int = 3, number: int = 0, attempt: int = 0, category: str | None = None
) -> Decision:
    return Decision(scene=index, object_index=number, attempt=attempt, decision=decision, category=category)


def test_what_was_decided_is_read_back_sorted(tmp_path: Path) -> None:
    for decision in (said("accept", index=9), said("reject"), said("wrong class", number=1, category="platelet")):
        review = decide(tmp_path, CLASSES, decision)
    assert read_review(tmp_path, CLASSES) == review
    stored = json.loads((tmp_path / REVIEW).read_text())
    assert [each["scene"] for each in stored["decisions"]] == [3, 3, 9]
    assert stored["decisions"][0] == {"scene": 3, "object_index": 0, "attempt": 0, "decision": "reject"}
    assert read_review(tmp_path / "nowhere", CLASSES) == Review()


def test_nobody_loses_what_others_decide_meanwhile(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda index: decide(tmp_path, CLASSES, said("accept", index=index)), range(40)))
    assert {scene for scene, *_ in read_review(tmp_path, CLASSES).decisions} == {*range(40)}


def test_the_last_word_about_an_attempt_counts() -> None:
    review = Review().with_decision(said("accept")).with_decision(said("reject"))
    record = scene(3, item(0))
    assert review.is_waiting(record)
    assert review.rejected() == {3: {0: frozenset({0})}}


def test_an_object_that_was_painted_again_is_no_longer_rejected() -> None:
    review = Review().with_decision(said("reject"))
    again = scene(3, item(0, attempts=2))
    assert accepted_attempt(again.objects[0]) == 1
    assert not review.is_waiting(again)
    assert review.applied(again) == again
    assert not review.is_waiting(scene(3, item(0, painted=False)))
    assert not review.is_waiting(scene(4, item(0)))


def test_decisions_are_applied_to_the_record() -> None:
    review = Review().with_decision(said("wrong class", category="platelet")).with_decision(said("reject", number=1))
    record = scene(3, item(0), item(1), item(2))
    renamed, rejected, other = review.applied(record).objects
    assert (renamed.category, renamed.painted_box) == ("platelet", (1, 1, 8, 8))
    assert (rejected.painted_box, rejected.mask, rejected.dropped) == (None, None, "rejected in review")
    assert other == record.objects[2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "Invalid JSON"),
        ({"schema_version": 7}, "schema_version"),
        ({"decisions": [{**SAID, "scene": -1}]}, "decisions.0.scene"),
        ({"decisions": [{**SAID, "decision": "maybe"}]}, "decisions.0.decision"),
        ({"decisions": [{**SAID, "decision": "wrong class"}]}, "category goes with 'wrong class'"),
        ({"decisions": [{**SAID, "decision": "wrong class", "category": "cow"}]}, "one of cell, platelet"),
    ],
)
def test_a_file_that_says_something_else_is_named(tmp_path: Path, text: str | dict[str, object], words: str) -> None:
    (tmp_path / REVIEW).write_text(text if isinstance(text, str) else json.dumps(text))
    with pytest.raises(DatasetError) as caught:
        read_review(tmp_path, CLASSES)
    assert words in str(caught.value)
    assert REVIEW in str(caught.value)
