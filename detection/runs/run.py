"""Train a detector in a folder of its own, or refine a trained one on real pictures."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from detection.datasets.sources import Source, check_validation
from detection.detectors.registry import load_detector, make_detector
from detection.detectors.settings import FitSettings, ModelOptions, read_card
from detection.detectors.types import Detector, TrainingMix
from detection.evaluation.coco_metrics import score_sets
from detection.inference.finding import find_objects
from detection.pages import describe_machine
from detection.runs.folder import (
    CHECKPOINT,
    RUN,
    UsedPicture,
    begin_run,
    digests_of,
    find_model,
    finish_run,
    read_scores,
    read_used,
    run_of,
)
from generator.foundation.errors import StorageError
from generator.foundation.history import Listener
from generator.foundation.run_folder import DETECTOR_RUN, check_outside, working_in
from generator.foundation.storage import read_json, remove
from generator.foundation.version import __version__


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunPlan:
    """What a run is asked for. `sources` hold the same categories; `shares` of each batch sum to 1."""

    detector: str
    options: ModelOptions
    settings: FitSettings
    seed: int
    sources: tuple[Source, ...]
    shares: tuple[float, ...]
    validation: Source | None = None

    @property
    def categories(self) -> tuple[str, ...]:
        """What it learns to find."""
        return self.sources[0].data.categories

    @property
    def pretrained(self) -> Path | None:
        """The checkpoint that a fresh detector starts from, where it is one of the user's."""
        return self.options.checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class StartingRun:
    """A trained detector to go on from; `settings` it was trained with, the defaults where it does not say."""

    folder: Path
    model: Path
    detector: str
    categories: tuple[str, ...]
    options: ModelOptions
    settings: FitSettings

    @classmethod
    def read(cls, folder: Path) -> StartingRun:
        """Read a finished run, or a folder that a detector was saved to. Raises ModelError, StorageError."""
        folder = run_of(folder)
        model = find_model(folder)
        card = read_card(model)
        settings = FitSettings()
        if (folder / RUN).is_file():
            try:
                settings = FitSettings.model_validate(read_json(folder / RUN)["settings"])
            except (ValueError, KeyError):
                raise StorageError(f"{folder / RUN}: is damaged: its settings cannot be used") from None
        return cls(
            folder=folder,
            model=model,
            detector=card.name,
            categories=card.categories,
            options=card.options,
            settings=settings,
        )

    def describe(self) -> dict[str, Any]:
        """What run.json says of it."""
        return {"path": str(self.folder), "files": digests_of(self.model)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunResult:
    """A finished run. `scores` and, of the detector it was refined from, `before` on the validation pictures, as
    SetScores.to_json; None without any. `was_finished`: nothing was trained by this call."""

    folder: Path
    steps: int
    best_step: int
    scores: dict[str, Any] | None
    before: dict[str, Any] | None
    was_finished: bool


def train_run(
    plan: RunPlan,
    out: Path,
    *,
    device: torch.device,
    command: Sequence[str],
    overwrite: bool = False,
    listener: Listener | None = None,
) -> RunResult:
    """Train a detector in `out`; the same call again goes on after a stop, and of a finished run says what came of it.

    Raises BoxpaintError: RunMismatchError when `out` holds another run, DatasetError, ModelError, StorageError.
    """

    def make() -> Detector:
        return make_detector(plan.detector, plan.categories, plan.options, seed=plan.seed, device=device)

    return _run(plan, None, make, out, device=device, command=command, overwrite=overwrite, listener=listener)


def refine_run(
    start: StartingRun,
    plan: RunPlan,
    out: Path,
    *,
    device: torch.device,
    command: Sequence[str],
    overwrite: bool = False,
    listener: Listener | None = None,
) -> RunResult:
    """Train a trained detector further, in a folder of its own; see `train_run`."""
    check_outside(out, start.folder)

    def load() -> Detector:
        return load_detector(start.model, device)

    return _run(plan, start, load, out, device=device, command=command, overwrite=overwrite, listener=listener)


def _run(
    plan: RunPlan,
    start: StartingRun | None,
    get_detector: Callable[[], Detector],
    out: Path,
    *,
    device: torch.device,
    command: Sequence[str],
    overwrite: bool,
    listener: Listener | None,
) -> RunResult:
    earlier = _used_before(plan, start)
    if plan.validation is not None:
        trained = {item.sha256 for item in earlier if item.role != "validation"}
        check_validation(plan.sources, plan.validation, trained)
    with working_in(out):
        identity = _identity(plan, start)
        if DETECTOR_RUN.check(out, identity, overwrite=overwrite):
            remove(out / CHECKPOINT)  # a kill may have come between the scores and its removal
            return _result(out, read_scores(out), was_finished=True)
        detector = get_detector()
        if overwrite:
            DETECTOR_RUN.clear(out)
        about = {
            "boxpaint": __version__,
            "command": shlex.join(command),
            "machine": {**describe_machine(), "device": str(device), "torch_threads": torch.get_num_threads()},
            **identity,
        }
        before = _scores(detector, plan.validation) if start is not None else None
        try:
            fitted = detector.fit(
                TrainingMix(sets=tuple(source.data for source in plan.sources), shares=plan.shares),
                plan.settings,
                seed=plan.seed,
                validation=plan.validation.data if plan.validation is not None else None,
                checkpoint=out / CHECKPOINT,
                listener=_Beginning(listener or Listener(), lambda: begin_run(out, about, _used(plan) + earlier)),
            )
        finally:
            if not (out / RUN).exists():  # not a step was trained
                remove(out / CHECKPOINT)
        scores = {
            "steps": len(fitted.losses),
            "best_step": fitted.best_step,
            "validations": [{"step": step, "ap": ap} for step, ap in fitted.validations],
            "before": before,
            "scores": _scores(detector, plan.validation),
        }
        finish_run(out, detector, fitted, scores)
        return _result(out, scores, was_finished=False)


class _Beginning(Listener):
    """Passes on what it is told; before the first step, `begin` is called."""

    def __init__(self, listener: Listener, begin: Callable[[], None]):
        self._listener = listener
        self._begin: Callable[[], None] | None = begin

    def on_start(self, steps: int, finished: int) -> None:
        self._listener.on_start(steps, finished)

    def on_step(self, step: int, loss: float) -> None:
        if self._begin is not None:
            self._begin()
            self._begin = None
        self._listener.on_step(step, loss)

    def on_validation(self, step: int, ap: float, *, is_best: bool) -> None:
        self._listener.on_validation(step, ap, is_best=is_best)


def _identity(plan: RunPlan, start: StartingRun | None) -> dict[str, Any]:
    return {
        "detector": plan.detector,
        "categories": list(plan.categories),
        "options": plan.options.model_dump(mode="json"),
        "settings": plan.settings.model_dump(mode="json", by_alias=True),
        "seed": plan.seed,
        "data": [
            {**source.describe(), "share": share} for source, share in zip(plan.sources, plan.shares, strict=True)
        ],
        "validation": plan.validation.describe() if plan.validation is not None else None,
        "refined_from": start.describe() if start is not None else None,
        # Of a detector that is refined, its own run has said it.
        "pretrained": {"path": str(plan.pretrained), "files": digests_of(plan.pretrained)}
        if start is None and plan.pretrained is not None
        else None,
    }


def _used_before(plan: RunPlan, start: StartingRun | None) -> list[UsedPicture]:
    """Pictures that the first weights were trained or validated on."""
    before = start.folder if start is not None else plan.pretrained
    return read_used(before) if before is not None else []


def _used(plan: RunPlan) -> list[UsedPicture]:
    sources = [*plan.sources, *([plan.validation] if plan.validation is not None else [])]
    return [
        UsedPicture(role=source.role, picture=str(sample.path), sha256=digest)
        for source in sources
        for sample, digest in zip(source.data.samples, source.digests, strict=True)
    ]


def _scores(detector: Detector, validation: Source | None) -> dict[str, Any] | None:
    if validation is None:
        return None
    return score_sets(validation.data, find_objects(detector, validation.data)).to_json()


def _result(out: Path, content: dict[str, Any], *, was_finished: bool) -> RunResult:
    try:
        return RunResult(
            folder=out,
            steps=int(content["steps"]),
            best_step=int(content["best_step"]),
            scores=content["scores"],
            before=content["before"],
            was_finished=was_finished,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{out}: its scores.json is damaged ({error}); --overwrite starts again") from None
