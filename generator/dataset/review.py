"""What a person decided of single objects, kept as review.json beside the run: read by the next run, the export and
the report.

    {"schema_version": 1, "decisions": [{"scene": 12, "object_index": 0, "attempt": 1, "decision": "reject"}, ...]}

accept       it is right; nothing changes
reject       it is painted again with its next seed by the next run, like one that failed a check
wrong class  it is labelled as `category` instead

A decision is about one attempt: once an object was painted again, what was said of the attempt before says nothing of
the new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, model_validator

from generator.dataset.record import ObjectRecord, SceneRecord, read_as
from generator.foundation.errors import DatasetError, Fault, StorageError
from generator.foundation.storage import translate_os_errors, write_json

REVIEW = "review.json"
# Of its own: a run that paints holds the folder's for hours.
_LOCK = ".review.lock"
_LONGEST_WAIT_S = 10.0

Choice = Literal["accept", "reject", "wrong class"]


class Decision(BaseModel):
    """What was decided of one attempt at one object of a scene; `category` is the right class of a wrong one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scene: int = Field(ge=0)
    object_index: int = Field(ge=0)
    attempt: int = Field(ge=0)
    decision: Choice
    category: str | None = None

    @model_validator(mode="after")
    def _names_the_right_class(self) -> Decision:
        if (self.category is not None) != (self.decision == "wrong class"):
            raise ValueError("category goes with 'wrong class', and with nothing else")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    decisions: tuple[Decision, ...] = ()


Key = tuple[int, int, int]
"""Scene, object, attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """All decisions of a run, one for each attempt at most."""

    decisions: Mapping[Key, Decision] = field(default_factory=dict)

    def with_decision(self, decision: Decision) -> Review:
        """Add a decision, in place of an earlier one about the same attempt."""
        key = decision.scene, decision.object_index, decision.attempt
        return Review(decisions={**self.decisions, key: decision})

    def of(self, record: SceneRecord, item: ObjectRecord) -> Decision | None:
        """What was decided of an object as it stands."""
        attempt = accepted_attempt(item)
        return self.decisions.get((record.index, item.object_index, attempt)) if attempt is not None else None

    def rejected(self) -> dict[int, dict[int, frozenset[int]]]:
        """Scene -> object -> numbers of its rejected attempts."""
        found: dict[int, dict[int, frozenset[int]]] = {}
        for each in self.decisions.values():
            if each.decision == "reject":
                objects = found.setdefault(each.scene, {})
                objects[each.object_index] = objects.get(each.object_index, frozenset()) | {each.attempt}
        return found

    def is_waiting(self, record: SceneRecord) -> bool:
        """Whether a scene holds an object that was rejected as it stands."""
        decided = (self.of(record, item) for item in record.objects)
        return any(each is not None and each.decision == "reject" for each in decided)

    def applied(self, record: SceneRecord, label_scales: Mapping[str, float] | None = None) -> SceneRecord:
        """The record with the right classes, and without what was rejected as it stands.

        `label_scales`: how much larger than what was painted the labels of each class are.
        """
        objects = []
        for item in record.objects:
            decided = self.of(record, item)
            if decided is not None and decided.decision == "wrong class":
                scale = (label_scales or {}).get(str(decided.category), 1.0)
                item = item.model_copy(update={"category": decided.category, "label_scale": scale})
            elif decided is not None and decided.decision == "reject":
                verified = ("verified_score", "verified_box", "verified_box_score")
                nothing = dict.fromkeys(("painted_box", "mask", "visible_share", *verified))
                item = item.model_copy(update={**nothing, "dropped": "rejected in review"})
            objects.append(item)
        return record.model_copy(update={"objects": tuple(objects)})


def accepted_attempt(item: ObjectRecord) -> int | None:
    """Number of the attempt that stands in the picture; None of a dropped object."""
    if item.painted_box is None:
        return None
    passed = (each.number for each in item.attempts if all(verdict.passed for verdict in each.verdicts))
    return next(passed, None)


def read_review(folder: Path, categories: Iterable[str]) -> Review:
    """Read review.json of a run folder; without one, nothing is decided. Raises DatasetError naming what is wrong."""
    path = folder / REVIEW
    if not path.exists():
        return Review()
    decisions = read_as(_File, path, "mend this file, or move it away: then nothing is decided").decisions
    known = list(categories)
    for number, each in enumerate(decisions):
        if each.category is not None and each.category not in known:
            place, expected = f"decisions.{number}.category", f"one of {', '.join(known)}"
            raise DatasetError([Fault(file=str(path), column=place, found=each.category, expected=expected)])
    return Review(decisions={(each.scene, each.object_index, each.attempt): each for each in decisions})


def decide(folder: Path, categories: Iterable[str], decision: Decision) -> Review:
    """Add a decision to review.json, with whatever others have decided meanwhile; returns all of them.

    The file is written whole or not at all. Raises DatasetError, StorageError.
    """
    lock = FileLock(folder / _LOCK)
    with translate_os_errors(folder):
        try:
            lock.acquire(timeout=_LONGEST_WAIT_S)
        except Timeout:  # an OSError, too
            raise StorageError(f"{folder}: somebody else is writing {REVIEW}; try again") from None
    try:
        review = read_review(folder, categories).with_decision(decision)
        file = _File(decisions=tuple(review.decisions[key] for key in sorted(review.decisions)))
        write_json(folder / REVIEW, file.model_dump(mode="json", exclude_none=True))
    finally:
        lock.release()
    return review


Rejected = Mapping[int, frozenset[int]]
"""Object -> numbers of its rejected attempts, in one scene."""
