"""audit.json and audit.png of a run: what the probes found, as numbers and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from generator.foundation.errors import DatasetError, Fault
from generator.foundation.storage import translate_os_errors

AUDIT, AUDIT_PICTURE = "audit.json", "audit.png"
MIN_PLACES = 20
"""Painted places, and as many untouched ones, that are needed to say anything."""
# Objects push aside what is around them: in real photos, in which nothing was painted, a probe finds the surroundings
# of cells with .87 [.84, .90], and those of a raw paste with 1.00 (docs/decisions/0008-seams.md).
NATURAL_OBJECTS_AUC = 0.9


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Auc(_Part):
    """Area under the ROC curve of one probe, with its 95 % interval."""

    value: float
    low: float
    high: float


class Finding(_Part):
    """What probes found of one kind of place: `auc` by probe."""

    places: int
    pictures: int
    auc: dict[str, Auc]

    @property
    def leak(self) -> Auc:
        """That of the better probe."""
        return max(self.auc.values(), key=lambda each: each.value)


class Audit(_Part):
    """Everything that was found, by kind of place; None where there were too few to say anything.

    `compared`: how many painted places of each kind had an untouched one of their size to be compared with.
    """

    schema_version: Literal[1] = 1
    pictures: int
    seed: int
    found: dict[str, Finding | None]
    compared: dict[str, int] = {}

    @property
    def leak(self) -> Auc | None:
        """Whether painting can be seen, said of decoys, or where there are too few, of objects with these hidden."""
        finding = self.found.get("decoys") or self.found.get("objects")
        return finding.leak if finding is not None else None

    @property
    def summary(self) -> str:
        """`leak` in a sentence, or why there is none."""
        if self.leak is None:
            reasons = "; ".join(f"{kind}: {self.shortage(kind)}" for kind in ("decoys", "objects"))
            return f"Whether painted places can be found was not judged; {reasons}."
        return (
            f"A probe that was trained to find painted places finds them with an AUC of {self.leak.value:.2f} "
            f"(0.5 is guessing), 95 % interval {self.leak.low:.2f} to {self.leak.high:.2f}."
        )

    @property
    def judged(self) -> frozenset[tuple[str, str]]:
        """Kinds of places of which something could be said, each with the probe that said it."""
        return frozenset((kind, name) for kind, finding in self.found.items() if finding for name in finding.auc)

    def is_poorer_than(self, other: Audit) -> bool:
        """Whether the other judged all that this one did, of as many pictures or more, and not merely the same."""
        if not self.judged:
            return bool(other.judged)
        same = (self.judged, self.pictures) == (other.judged, other.pictures)
        return self.judged <= other.judged and self.pictures <= other.pictures and not same

    def shortage(self, kind: str) -> str:
        """Why nothing is said of a kind of place: how many there were, and how many are needed."""
        count = self.compared.get(kind, "not enough")
        return f"{count} could be compared with an untouched place, {MIN_PLACES} in 2 pictures or more are needed"

    def limit(self, max_leak_auc: float) -> float:
        """The limit for `leak`: the one of decoys, or where objects had to be judged, what is natural for these."""
        return max_leak_auc if self.found.get("decoys") else max(max_leak_auc, NATURAL_OBJECTS_AUC)


def read_audit(folder: Path) -> Audit | None:
    """Read audit.json of a run folder; None where there is none. Raises DatasetError when it is not one."""
    path = folder / AUDIT
    if not path.is_file():
        return None
    with translate_os_errors(path):
        data = path.read_bytes()
    try:
        return Audit.model_validate_json(data)
    except ValidationError as error:
        expected = f"{error.errors()[0]['msg']}; delete this file, and `boxpaint audit` makes it again"
        raise DatasetError([Fault(file=str(path), expected=expected)]) from None
