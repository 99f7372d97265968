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
from pathlib import Path
from typing import Any

from detection.classifier.comparison import ArmResult, Comparison, compare, write_predictions
from detection.classifier.data import Sources, read_data
from detection.classifier.export import export_onnx
from detection.classifier.jobs import CHECKPOINT, HISTORY, Materials, Outcome, list_jobs, read_model, run_jobs
from detection.classifier.models import Classifier, find_weights, spec_of
from detection.classifier.report import HTML, MARKDOWN, PICTURES, write_report
from detection.classifier.settings import Arm, ClassifierSettings, Listener
from detection.machine import describe_machine
from detection.work_folder import remove, working_in
from generator.foundation.device import choose_device
from generator.foundation.errors import RunMismatchError
from generator.foundation.storage import sha256_of, translate_os_errors, write_json

SCHEMA_VERSION = 1
KIND = "boxpaint classifier comparison"
RUN, MODELS, SCORES, PREDICTIONS, ONNX = "run.json", "models", "scores.json", "predictions.csv", "model.onnx"
# See jobs.py.
_THREADS = 1
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
    listener: Listener | None = None,
) -> Comparison:
    """Train both arms over all seeds, test them, and write everything to `out`.

    The same call again trains only what is missing, and goes on in the middle of an interrupted training; the numbers
    are the same, with any number of `workers`. Raises BoxpaintError: DatasetError, RunMismatchError when `out` holds
    something else, ModelError, StorageError.
    """
    listener = listener or Listener()
    chosen = choose_device(device)
    spec = spec_of(settings.model)
    weights = find_weights(settings.model, settings.weights)
    _check_is_ours(out)
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
        if overwrite:
            _clear(out)
        _begin(out, identity)
        materials = Materials(
            data=data,
            settings=settings,
            device=str(chosen),
            identity=json.dumps(identity, sort_keys=True),
            folder=out / MODELS,
        )
        outcomes = run_jobs(jobs, materials, workers=workers, listener=listener)
        comparison = compare(data, settings, outcomes)
        listener.on_stage("writing the report")
        _finish(out, comparison, {"command": command, "device": str(chosen), "threads": _THREADS})
    return comparison


def has_trainings(out: Path) -> bool:
    """Whether a training of a comparison is there, finished or to go on with."""
    return any(path.name in (CHECKPOINT, HISTORY) for path in (out / MODELS).glob("*/*"))


def best_outcome(arm: ArmResult, settings: ClassifierSettings) -> Outcome:
    """The model of an arm to use: best on validation crops where their labels are used, else that of the first seed.

    Test crops do not choose.
    """
    if settings.patience is None:
        return arm.outcomes[0]

    def merit(outcome: Outcome) -> tuple[float, int]:
        return dict(outcome.validations).get(outcome.best_step, 0.0), -outcome.job.number

    return max(arm.outcomes, key=merit)


def _finish(out: Path, comparison: Comparison, about: dict[str, Any]) -> None:
    """Export the best model of each arm, and write predictions, report and scores."""
    chosen: dict[Arm, tuple[Outcome, Classifier]] = {}
    differences = {}
    for arm in comparison.trained:
        best = best_outcome(arm, comparison.settings)
        model = read_model(best.job, out / MODELS)
        chosen[arm.arm] = best, model
        if comparison.settings.onnx:
            differences[best.job.name] = export_onnx(model, out / MODELS / best.job.name / ONNX)
    write_predictions(comparison, out / PREDICTIONS)
    content = {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        **comparison.to_json(),
        "onnx_differs_from_torch_by": differences,
        "settings": comparison.settings.model_dump(mode="json"),
        **about,
        "machine": describe_machine(),
    }
    write_report(out, comparison, content, chosen)
    write_json(out / SCORES, content)


def _check_is_ours(out: Path) -> None:
    """Raise RunMismatchError when a folder holds files and no run.json of ours."""
    with translate_os_errors(out):
        names = sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) if out.exists() else []
    if not names:
        return
    if RUN not in names or _read_run(out / RUN).get("kind") != KIND:
        what = ", ".join(names[:3])
        raise RunMismatchError(f"{out} is not a folder of `train classifier`: it holds {what}; choose another --out")


def _read_run(path: Path) -> dict[str, Any]:
    with translate_os_errors(path):
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _begin(out: Path, identity: dict[str, Any]) -> None:
    """Write run.json, or check that the one that is there asks for the same. Raises RunMismatchError."""
    path = out / RUN
    if not path.exists():
        write_json(path, {"schema_version": SCHEMA_VERSION, "kind": KIND, **identity})
        return
    before = _read_run(path)
    differences = []
    for key, value in json.loads(json.dumps(identity)).items():
        now, then = (each if isinstance(each, dict) else {"": each} for each in (value, before.get(key)))
        differences += [
            f"{key}{'.' if name else ''}{name}: {then.get(name)} before, {now.get(name)} now"
            for name in sorted({*now, *then})
            if now.get(name) != then.get(name)
        ]
    if differences:
        message = f"{out} was started with other settings or crops; use another --out, or --overwrite to start again:"
        raise RunMismatchError(message, differences)


def _clear(out: Path) -> None:
    """Remove what a run leaves; run.json is last: until then the folder is known as ours."""
    for path in (out / name for name in (MODELS, PREDICTIONS, SCORES, HTML, MARKDOWN, *PICTURES, RUN)):
        remove(path)
