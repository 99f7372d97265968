"""From data sets to a folder that says what painted crops add.

run.json                       what was asked for, and of which crops; written first
models/<arm>-<seed>/           model.json, model.safetensors, model.onnx for the best seed of an arm, probabilities.npy,
                               history.json (written last: finished), checkpoint.pt while it trains
predictions.csv                what every model said of every test crop
scores.json                    all scores, gains and tests
report.html, report.md, *.png  the same for people
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch

from detection.classifier.batches import Batches
from detection.classifier.comparison import ArmResult, Comparison, Outcome, compare, write_predictions
from detection.classifier.crops import Crops
from detection.classifier.data import ClassifierData, Sources, choose_subset, read_data
from detection.classifier.model_folder import export_onnx, load_classifier, save_classifier
from detection.classifier.models import Classifier, build_classifier, find_weights, spec_of
from detection.classifier.report import write_report
from detection.classifier.scores import score_predictions
from detection.classifier.settings import AUGMENTED, ORIGINAL, Arm, ClassifierSettings, Job
from detection.classifier.trainer import predict, train
from detection.pages import describe_machine
from detection.proof.jobs import JobFolder, ProofListener, run_jobs
from generator.foundation.device import choose_device
from generator.foundation.errors import BoxpaintError
from generator.foundation.processes import Say, Workers
from generator.foundation.run_folder import CLASSIFIERS, working_in
from generator.foundation.seeds import derive_seed
from generator.foundation.storage import remove, sha256_of, write_json

MODELS, SCORES, PREDICTIONS, ONNX = "models", "scores.json", "predictions.csv", "model.onnx"
CHECKPOINT, PROBABILITIES, HISTORY = "checkpoint.pt", "probabilities.npy", "history.json"
_THREADS = 1
# Position below the settings' seed; detection/classifier/data.py has the others.
_TRAINING = 3
# Of the settings, those that change no training: the report is made anew from the trained models.
_INDIFFERENT = {"onnx", "bootstrap", "checkpoint_every"}


def compare_classifiers(
    sources: Sources,
    out: Path,
    settings: ClassifierSettings,
    *,
    device: str = "auto",
    workers: int = 1,
    overwrite: bool = False,
    command: str = "",
    listener: ProofListener[Job] | None = None,
) -> Comparison:
    """Train both arms over all seeds, test them, and write everything to `out`.

    The same call again trains only what is missing, and goes on in the middle of an interrupted training; the numbers
    are the same, with any number of `workers`. Raises BoxpaintError: DatasetError, RunMismatchError when `out` holds
    something else, ModelError, StorageError.
    """
    listener = listener or ProofListener()
    chosen = choose_device(device)
    spec = spec_of(settings.model)
    weights = find_weights(settings.model, settings.weights)
    CLASSIFIERS.read(out, overwrite=overwrite)
    listener.on_stage("reading and cutting pictures")
    data = read_data(sources, settings, side_px=spec.crop_px)
    jobs = list_jobs(data, settings)
    identity = {
        "settings": settings.model_dump(mode="json", exclude=_INDIFFERENT),
        "data": data.digests(),
        "weights": sha256_of(weights) if weights is not None else None,
        "device": chosen.type,
    }
    with working_in(out):
        CLASSIFIERS.check(out, identity, overwrite=overwrite)
        if overwrite:
            CLASSIFIERS.clear(out)
        CLASSIFIERS.begin(out, identity)
        folders = {job: JobFolder(out / MODELS / job.name, HISTORY) for job in jobs}
        step = partial(
            _run_job,
            folders=folders,
            data=data,
            settings=settings,
            device=str(chosen),
            identity=json.dumps(identity, sort_keys=True),
        )
        with Workers(workers, step) as processes:
            run_jobs(
                jobs,
                processes,
                is_finished=lambda job: folders[job].is_trained,
                steps_of=lambda _: settings.steps,
                listener=listener,
            )
        outcomes = [_read_outcome(job, folder) for job, folder in folders.items()]
        comparison = compare(data, settings, outcomes)
        listener.on_stage("writing the report")
        _finish(out, comparison, {"command": command, "device": str(chosen), "threads": _THREADS})
    return comparison


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


def best_outcome(arm: ArmResult, settings: ClassifierSettings) -> Outcome:
    """The model of an arm to use: best on validation crops where their labels are used, else that of the first seed.

    Test crops do not choose.
    """
    if settings.patience is None:
        return arm.outcomes[0]

    def merit(outcome: Outcome) -> tuple[float, int]:
        return dict(outcome.validations).get(outcome.best_step, 0.0), -outcome.job.number

    return max(arm.outcomes, key=merit)


def _train_sides(data: ClassifierData, settings: ClassifierSettings, job: Job) -> tuple[Crops, Crops | None]:
    return choose_subset(data.train, settings, job.number), data.synthetic if job.arm == AUGMENTED else None


def _run_job(
    job: Job,
    say: Say,
    *,
    folders: dict[Job, JobFolder],
    data: ClassifierData,
    settings: ClassifierSettings,
    device: str,
    identity: str,
) -> tuple[int, float]:
    """Train one classifier, predict the test crops, and leave both on disk; returns its steps and macro F1.

    Runs in a process of its own. Raises BoxpaintError.
    """
    folder = folders[job]
    path = folder.begin()
    # Of the number alone: both arms begin with the same weights.
    seed = derive_seed(settings.seed, _TRAINING, job.number)
    real, synthetic = _train_sides(data, settings, job)
    model = build_classifier(settings.model, data.classes, settings.weights, seed=seed)
    history = train(
        model,
        Batches(real, synthetic, settings, side_px=model.spec.crop_px, seed=seed),
        settings,
        device=torch.device(device),
        validation=data.validation,
        checkpoint=path / CHECKPOINT,
        made_from={"comparison": identity, "job": job.name},
        on_step=lambda step, loss: say((step, loss)),
    )
    probabilities = predict(model, data.test, settings.margin)
    save_classifier(model, path, margin=settings.margin)
    folder.write_array(PROBABILITIES, probabilities)
    folder.write(
        {
            "losses": history.losses,
            "validations": history.validations,
            "best_step": history.best_step if settings.patience is not None else len(history.losses),
            "train_counts": real.counts(),
        }
    )
    return settings.steps, float(score_predictions(data.test.labels, probabilities, len(data.classes)).macro_f1)


def _read_outcome(job: Job, folder: JobFolder) -> Outcome:
    """Read what a finished job left. Raises StorageError when it is damaged."""
    remove(folder.path / CHECKPOINT)  # of use until the job is finished
    content: dict[str, Any] = folder.read()
    try:
        return Outcome(
            job=job,
            probabilities=folder.read_array(PROBABILITIES),
            losses=tuple(content["losses"]),
            validations=tuple((int(step), float(score)) for step, score in content["validations"]),
            best_step=int(content["best_step"]),
            train_counts=dict(content["train_counts"]),
        )
    except (ValueError, LookupError, TypeError):
        raise folder.damaged(HISTORY) from None


def _finish(out: Path, comparison: Comparison, about: dict[str, Any]) -> None:
    """Export the best model of each arm, and write predictions, report and scores."""
    chosen: dict[Arm, tuple[Outcome, Classifier]] = {}
    differences = {}
    for arm in comparison.trained:
        best = best_outcome(arm, comparison.settings)
        folder = out / MODELS / best.job.name
        model = load_classifier(folder)[0]
        chosen[arm.arm] = best, model
        if comparison.settings.onnx:
            differences[best.job.name] = export_onnx(model, folder / ONNX)
    write_predictions(comparison, out / PREDICTIONS)
    content = {
        **CLASSIFIERS.head,
        **comparison.to_json(),
        "onnx_differs_from_torch_by": differences,
        "settings": comparison.settings.model_dump(mode="json"),
        **about,
        "machine": describe_machine(),
    }
    write_report(out, comparison, content, chosen)
    write_json(out / SCORES, content)
