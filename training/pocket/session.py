"""What every part is trained from and by: photos, captions, a seed, minutes; and how that is told."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from boxpaint.cli.scenario import real_source
from detection.datasets.sources import read_source
from detection.datasets.types import DetectionDataset, digest_of_set
from detection.painter.learning import Learner, fit
from detection.painter.photos import LabelledPhoto, Limits, measure_limits
from generator.foundation.errors import BoxpaintError
from generator.foundation.history import Listener
from generator.foundation.seeds import derive_rng
from generator.foundation.storage import make_folder, sha256_of, translate_os_errors
from generator.foundation.training import Budget
from training.pocket.grammar import read_captions
from training.pocket.smears import cells_of, described_cells, read_smears

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SECONDS_BETWEEN_LINES = 15.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Session:
    """What is learned from (labelled photos, and a file of captions, grammar.py), from which seed, with what, for how
    long, and who is told. `unseen` photos are measured on."""

    seen: DetectionDataset
    unseen: DetectionDataset
    captions: Path
    seed: int
    device: torch.device
    minutes: float = 0.0
    say: Callable[[str], None] = print

    def rng(self, *position: int) -> np.random.Generator:
        """Random numbers of a position below the seed."""
        return derive_rng(self.seed, *position)

    @cached_property
    def seen_photos(self) -> list[LabelledPhoto]:
        """The photos to learn from, cells described."""
        return described_cells(self._plain, self._limits)

    @cached_property
    def unseen_photos(self) -> list[LabelledPhoto]:
        """The photos to measure on; what is large or dark is what it is in the others."""
        return described_cells(read_smears(self.unseen), self._limits)

    @cached_property
    def _plain(self) -> list[LabelledPhoto]:
        return read_smears(self.seen)

    @cached_property
    def _limits(self) -> Limits:
        return measure_limits(self._plain)


def open_session(
    data: Path, imported: Path, captions: Path, seed: int, device: torch.device, say: Callable[[str], None]
) -> Session:
    """Read what is learned from: photos of train and val, and captions; photos of test are measured on.

    Photos that are not in COCO form are imported into a folder first. Raises BoxpaintError when something is missing,
    before hours are spent on the rest.
    """
    train = real_source(str(data), imported, again=True)
    val, test = (read_source(f"{train.path}:{split}", "scored") for split in ("val", "test"))
    seen, unseen = cells_of(train.data).joined(cells_of(val.data)), cells_of(test.data)
    for photos, what in ((seen, "train and val"), (unseen, "test")):
        if missing := [kind for kind, count in photos.counts().items() if not count]:
            raise BoxpaintError(f"{data}: no {missing[0]} is labelled in the photos of {what}")
    read_captions(captions)
    return Session(seen=seen, unseen=unseen, captions=captions, seed=seed, device=device, say=say)


def learn(
    part: str,
    learners: Sequence[Learner],
    session: Session,
    folder: Path,
    *,
    batch_size: int,
    made_from: Mapping[str, str],
) -> None:
    """Train until the minutes are spent, and leave the averaged weights in the modules, in evaluation mode.

    A checkpoint in `folder` is gone on from. Raises BoxpaintError when it was made from something else.
    """
    budget = Budget(minutes=session.minutes)
    fit(
        learners,
        budget,
        seed=session.seed,
        device=session.device,
        batch_size=batch_size,
        checkpoint=checkpoint_file(make_folder(folder), part),
        made_from=made_from,
        listener=(lines := _Lines(part, budget, session.say)),
    )
    session.say(f"{part}: {budget.done} steps in {budget.seconds / 60:.1f} min, loss {lines.loss:.4f}")


class _Lines(Listener):
    """Says now and then how far a training is."""

    def __init__(self, part: str, budget: Budget, say: Callable[[str], None]):
        self.loss = math.nan
        self._part, self._budget, self._say = part, budget, say
        self._said_at = time.monotonic()

    def on_start(self, _: int, finished: int, /) -> None:
        if finished:
            self._say(f"{self._part}: going on after {finished} steps, {self._budget.seconds / 60:.1f} min")

    def on_step(self, step: int, loss: float, /) -> None:
        self.loss = loss if math.isnan(self.loss) else 0.98 * self.loss + 0.02 * loss
        if (now := time.monotonic()) - self._said_at > SECONDS_BETWEEN_LINES and self._budget.minutes is not None:
            self._said_at = now
            left = self._budget.minutes - self._budget.seconds / 60
            progress = f"{self._budget.progress:4.0%}, step {step}"
            self._say(f"{self._part}: {progress}, loss {self.loss:.4f}, {left:.1f} min left")


def checkpoint_file(folder: Path, part: str) -> Path:
    """File from which the training of a part goes on."""
    return folder / f"{part}.checkpoint.pt"


def identify(
    part: str,
    session: Session,
    recipe: DataclassInstance,
    *,
    photos: bool = True,
    captions: bool = False,
    files: Mapping[str, Path] | None = None,
) -> dict[str, str]:
    """Name what a training is made from: part, seed, each field of its recipe, and digests of what it learns from.

    Raises BoxpaintError when something cannot be read.
    """
    learned = {**(files or {}), **({"captions": session.captions} if captions else {})}
    values = {f"recipe.{field.name}": repr(getattr(recipe, field.name)) for field in fields(recipe)}
    digests = {name: _digest_of_file(path) for name, path in learned.items()}
    if photos:
        pictures = (_digest_of_file(sample.path) for sample in session.seen.samples)
        digests["data"] = digest_of_set(session.seen, pictures)
    return {"part": part, "seed": str(session.seed), **values, **digests}


def _digest_of_file(path: Path) -> str:
    with translate_os_errors(path):
        return sha256_of(path)
