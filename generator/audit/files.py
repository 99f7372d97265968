"""audit.json and audit.png of a run: what the probes found, as numbers and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from generator.errors import DatasetError, Fault
from generator.storage import translate_os_errors

AUDIT, AUDIT_PICTURE = "audit.json", "audit.png"
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
    """Everything that was found, by kind of place; None where there were too few to say anything."""

    schema_version: Literal[1] = 1
    pictures: int
    seed: int
    found: dict[str, Finding | None]

    @property
    def leak(self) -> Auc | None:
        """Whether painting can be seen, said of decoys, or where there are too few, of objects with these hidden."""
        finding = self.found.get("decoys") or self.found.get("objects")
        return finding.leak if finding is not None else None

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
        raise DatasetError([Fault(file=str(path), expected=error.errors()[0]["msg"])]) from None
