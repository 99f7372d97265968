"""The trainings of a comparison: one for each arm and seed, each in a folder and on one thread of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detection.classifier.batches import Batches
from detection.classifier.crops import Crops
from detection.classifier.data import ClassifierData, choose_subset
from detection.classifier.model_folder import load_classifier, save_classifier
from detection.classifier.models import Classifier, build_classifier
from detection.classifier.scores import Scores, score_predictions
from detection.classifier.settings import AUGMENTED, ORIGINAL, Arm, ClassifierSettings, Listener
from detection.classifier.trainer import predict, train
from detection.work_folder import remove
from generator.foundation.errors import BoxpaintError, StorageError
from generator.foundation.processes import JobListener, Workers
from generator.foundation.seeds import derive_seed
from generator.foundation.storage import atomic_writer, make_folder, remove_leftovers, translate_os_errors, write_json

CHECKPOINT, PROBABILITIES, HISTORY = "checkpoint.pt", "probabilities.npy", "history.json"
# Position below the settings' seed; detection/classifier/data.py has the others.
_TRAINING = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training: the arm, and the number of its seed, from 0."""

    arm: Arm
    number: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.arm}-{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Materials:
    """What all jobs of a comparison have in common. `folder` holds one folder for each job."""

    data: ClassifierData
    settings: ClassifierSettings
    device: str
    identity: str
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """A finished job. `probabilities`: (N, K) float32 of the test crops; `train_counts`: real crops of each class."""

    job: Job
    probabilities: np.ndarray
    losses: tuple[float, ...]
    validations: tuple[tuple[int, float], ...]
    best_step: int
    train_counts: dict[str, int]

    def scores(self, test: Crops) -> Scores:
        """Score the predictions of the test crops."""
        return score_predictions(test.labels, self.probabilities, len(test.classes))


def list_jobs(data: ClassifierData, settings: ClassifierSettings) -> list[Job]:
    """The jobs that can be trained: an arm needs crops of two classes at least.

    Raises BoxpaintError when no arm has them.
    """
    jobs = []
    for arm in (ORIGINAL, AUGMENTED) if data.synthetic is not None else (ORIGINAL,):
        for number in range(settings.seeds):
            sides = _train_sides(data, settings, Job(arm=arm, number=number))
            if len({item.label for side in sides if side is not None for item in side.items}) >= 2:
                jobs.append(Job(arm=arm, number=number))
    if not jobs:
        raise BoxpaintError("nothing can be trained: crops of two classes are needed; see --per-class and --limit")
    return jobs


def run_jobs(jobs: Iterable[Job], materials: Materials, *, workers: int, listener: Listener) -> list[Outcome]:
    """Do the jobs that are not finished; returns the outcomes of all, in their order. Raises what a job raised."""
    jobs = list(jobs)
    finished = [job for job in jobs if (materials.folder / job.name / HISTORY).is_file()]
    for job in finished:
        remove(materials.folder / job.name / CHECKPOINT)  # a kill may have come before its removal
    waiting = [job for job in jobs if job not in finished]
    listener.on_start(len(jobs), len(finished))

    with Workers(workers, partial(run_job, materials=materials)) as processes:
        processes.run(waiting, _Relay(materials, listener))
    return [read_outcome(job, materials.folder) for job in jobs]


def read_outcome(job: Job, folder: Path) -> Outcome:
    """Read what a finished job left. Raises StorageError when it is damaged."""
    path = folder / job.name / HISTORY
    try:
        with translate_os_errors(path):
            content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            probabilities = np.load(path.with_name(PROBABILITIES), allow_pickle=False)
        return Outcome(
            job=job,
            probabilities=probabilities,
            losses=tuple(content["losses"]),
            validations=tuple((int(step), float(score)) for step, score in content["validations"]),
            best_step=int(content["best_step"]),
            train_counts=dict(content["train_counts"]),
        )
    except (ValueError, EOFError, LookupError, TypeError):
        raise StorageError(f"{path} is damaged; remove the folder {path.parent} to train this model again") from None


def read_model(job: Job, folder: Path) -> Classifier:
    """Read the classifier of a finished job."""
    return load_classifier(folder / job.name)[0]


def _train_sides(data: ClassifierData, settings: ClassifierSettings, job: Job) -> tuple[Crops, Crops | None]:
    return choose_subset(data.train, settings, job.number), data.synthetic if job.arm == AUGMENTED else None


class _Relay(JobListener[Job]):
    """Passes on what processes tell, with the score of a finished job."""

    def __init__(self, materials: Materials, listener: Listener):
        self._materials = materials
        self._listener = listener

    def on_word(self, job: Job, word: tuple[int, float]) -> None:
        self._listener.on_step(job.arm, job.number, *word)

    def on_job(self, job: Job, _result: None, /) -> None:
        scores = read_outcome(job, self._materials.folder).scores(self._materials.data.test)
        self._listener.on_job(job.arm, job.number, scores.macro_f1)


def run_job(job: Job, on_step: Callable[[tuple[int, float]], None], *, materials: Materials) -> None:
    """Train one classifier, predict the test crops, and leave both on disk, the history last.

    Runs in a process of its own. Raises BoxpaintError.
    """
    data, settings = materials.data, materials.settings
    folder = make_folder(materials.folder / job.name)
    remove_leftovers(folder)
    # Of the number alone: both arms begin with the same weights.
    seed = derive_seed(settings.seed, _TRAINING, job.number)
    real, synthetic = _train_sides(data, settings, job)
    model = build_classifier(settings.model, data.classes, settings.weights, seed=seed)
    history = train(
        model,
        Batches(real, synthetic, settings, side_px=model.spec.crop_px, seed=seed),
        settings,
        device=torch.device(materials.device),
        validation=data.validation,
        checkpoint=folder / CHECKPOINT,
        made_from={"comparison": materials.identity, "job": job.name},
        on_step=lambda step, loss: on_step((step, loss)),
    )
    probabilities = predict(model, data.test, settings.margin)
    save_classifier(model, folder, margin=settings.margin)
    with atomic_writer(folder / PROBABILITIES) as stream:
        np.save(stream, probabilities, allow_pickle=False)
    content = {
        "losses": history.losses,
        "validations": history.validations,
        "best_step": history.best_step if settings.patience is not None else len(history.losses),
        "train_counts": real.counts(),
    }
    write_json(folder / HISTORY, content, indent=None)
    remove(folder / CHECKPOINT)
