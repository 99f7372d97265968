"""One job, from its pictures to its scores. Runs in a process of its own: nothing here knows of the others."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from detection.calibration.boxes import BoxScale
from detection.calibration.labels import with_boxes
from detection.coco_metrics import score_sets
from detection.datasets.types import DetectionDataset
from detection.detectors.registry import load_detector, make_detector
from detection.detectors.types import Detector, FitListener, FitResult, TrainingMix
from detection.evaluation.bootstrap import ResampledAp, draw_resamples
from detection.experiment.config import PASTING_ARMS
from detection.experiment.copy_paste import paste_pictures
from detection.experiment.drawing import write_sheet
from detection.experiment.job_folder import CHECKPOINT, MODEL, PASTED, JobFolder
from detection.experiment.jobs import Job, Materials
from detection.experiment.subsets import PASTING, RESAMPLING, TRAINING
from detection.inference.finding import find_objects
from generator.foundation.seeds import derive_seed
from generator.foundation.storage import make_folder, remove_leftovers

_PASTED_PICTURES = "pictures"
_LOSS_DIGITS = 5
_SHOWN = 9


class _Steps(FitListener):
    def __init__(self, on_step: Callable[[int], None]):
        self._on_step = on_step

    def on_start(self, _: int, finished: int) -> None:
        self._on_step(finished)

    def on_step(self, step: int, _: float) -> None:
        self._on_step(step)


def run_job(job: Job, on_step: Callable[[int], None], *, materials: Materials, jobs: Path) -> None:
    """Do what is not yet done of a job; `on_step` is told how many steps are trained.

    Raises BoxpaintError.
    """
    folder = JobFolder.of(jobs, job.name, materials.digest(job))
    if not folder.is_trained():
        remove_leftovers(make_folder(folder.path))
        _train(job, materials, jobs, folder, on_step)
    if not folder.is_finished(materials.config.bootstrap):
        config = materials.config
        seed = derive_seed(config.seed, RESAMPLING)
        drawn = draw_resamples(len(materials.test), count=config.bootstrap, seed=seed)
        folder.write_resampled(ResampledAp(materials.test, folder.read_detections()).ap_of_categories(drawn))


def _train(job: Job, materials: Materials, jobs: Path, folder: JobFolder, on_step: Callable[[int], None]) -> None:
    config = materials.config
    device = torch.device(materials.device)
    seed = derive_seed(config.seed, TRAINING, job.subset)
    detector: Detector
    if job.start is not None:
        start = JobFolder.of(jobs, job.start.name, materials.digest(job.start))
        detector = load_detector(start.path / MODEL, device)
    else:
        detector = make_detector(
            config.detector.name, config.categories, config.detector.options, seed=seed, device=device
        )
    begun = time.perf_counter()
    mix, scales = _mix(job, materials, folder)
    result = detector.fit(
        mix, job.settings(config), seed=seed, checkpoint=folder.path / CHECKPOINT, listener=_Steps(on_step)
    )
    trained = time.perf_counter()
    scores = None
    if job.kind != "pretrain":
        scores = score_sets(materials.test, folder.write_detections(find_objects(detector, materials.test))).to_json()
    if job.kind == "pretrain" or config.keep_models:
        detector.save(folder.path / MODEL)
    seconds = {"training": round(trained - begun, 2), "scoring": round(time.perf_counter() - trained, 2)}
    measured = {name: asdict(scale) for name, scale in scales.items()}
    folder.write_report({**_report(job, materials, result, seconds, device), "scores": scores, "box_scales": measured})
    for name in (CHECKPOINT, _PASTED_PICTURES):
        shutil.rmtree(folder.path / name, ignore_errors=True)


def _report(
    job: Job,
    materials: Materials,
    result: FitResult,
    seconds: dict[str, float],
    device: torch.device,
) -> dict[str, Any]:
    return {
        "job": job.to_json(),
        "identity": materials.identity(job),
        "losses": [round(loss, _LOSS_DIGITS) for loss in result.losses],
        "seconds": seconds,
        "made_on": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
            "threads": torch.get_num_threads(),
        },
    }


def _mix(job: Job, materials: Materials, folder: JobFolder) -> tuple[TrainingMix, dict[str, BoxScale]]:
    """The pictures of a job's batches, and how the boxes of painted ones were scaled."""
    config, real, painted = materials.config, materials.real_of(job), materials.painted_of(job)
    if job.kind in PASTING_ARMS and real is not None:
        share = config.copy_paste.share
        return TrainingMix(sets=(real, _pasted(job, materials, real, folder)), shares=(1 - share, share)), {}
    if job.kind in ("real", "refined") and real is not None:
        return TrainingMix.of(real), {}
    if painted is None:
        raise ValueError(f"{job.name}: no pictures to train on")
    prepared, scales = with_boxes(painted, config.synthetic.boxes, materials.measured_of(job))
    if job.kind == "mixed" and real is not None:
        share = config.mixed.real_share
        return TrainingMix(sets=(real, prepared), shares=(share, 1 - share)), scales
    return TrainingMix.of(prepared), scales


def _pasted(job: Job, materials: Materials, real: DetectionDataset, folder: JobFolder) -> DetectionDataset:
    """Make pictures with pasted objects, the same for all arms, and a sheet of some of them to look at."""
    config = materials.config
    seed = derive_seed(config.seed, PASTING, job.subset, job.number)
    pasted = paste_pictures(real, config.copy_paste, make_folder(folder.path / _PASTED_PICTURES), seed=seed)
    write_sheet(folder.path / PASTED, pasted, most=_SHOWN, columns=3, cell_width=320)
    return pasted
