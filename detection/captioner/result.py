"""What a fine-tuning came to, in memory and as scores.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detection.captioner.scores import CaptionScores
from detection.captioner.settings import EpochLoss

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A picture of the validation side, what people wrote of it, and what the model said before and after."""

    picture: str
    references: tuple[str, ...]
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much there was."""

    train_pictures: int
    train_captions: int
    val_pictures: int
    val_captions: int
    scored_pictures: int
    """Pictures of the validation side that the scores are taken over."""
    skipped_rows: int
    """Rows of the table that could not be used."""
    unreadable_pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionerResult:
    """A finished fine-tuning."""

    folder: Path
    best_epoch: int
    """From 1; the model is the one of this epoch."""
    learning_rate: float
    losses: tuple[EpochLoss, ...]
    before: CaptionScores
    after: CaptionScores
    counts: Counts
    unreadable: Mapping[str, str]
    """Picture -> why it could not be decoded."""
    examples: tuple[Example, ...]

    @property
    def model(self) -> Path:
        """Folder to give as models.captioner.folder."""
        return self.folder / "model"

    def to_json(self) -> dict[str, Any]:
        """All but the folder, as JSON has it."""
        return {
            "best_epoch": self.best_epoch,
            "learning_rate": self.learning_rate,
            "scores_before": self.before.labelled,
            "scores_after": self.after.labelled,
            "losses": [dataclasses.asdict(loss) for loss in self.losses],
            "counts": dataclasses.asdict(self.counts),
            "unreadable": dict(self.unreadable),
            "examples": [dataclasses.asdict(example) for example in self.examples],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], folder: Path) -> CaptionerResult:
        """Read what `to_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            folder=folder,
            best_epoch=int(data["best_epoch"]),
            learning_rate=float(data["learning_rate"]),
            losses=tuple(
                EpochLoss(epoch=int(loss["epoch"]), train=float(loss["train"]), val=float(loss["val"]))
                for loss in data["losses"]
            ),
            before=CaptionScores.from_labelled(data["scores_before"]),
            after=CaptionScores.from_labelled(data["scores_after"]),
            counts=Counts(**{field.name: int(data["counts"][field.name]) for field in dataclasses.fields(Counts)}),
            unreadable={str(name): str(reason) for name, reason in data["unreadable"].items()},
            examples=tuple(
                Example(
                    picture=item["picture"],
                    references=tuple(item["references"]),
                    before=item["before"],
                    after=item["after"],
                )
                for item in data["examples"]
            ),
        )
