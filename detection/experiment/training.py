"""One job, from its pictures to its scores. Runs in a process of its own: nothing here knows of the others."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import torch

from detection.calibration.scale import with_boxes
from detection.datasets.boxes import BoxScale
from detection.datasets.types import DetectionDataset
from detection.detectors.registry import load_detector, make_detector
from detection.detectors.types import Detector, TrainingMix
from detection.evaluation.bootstrap import ResampledAp, draw_resamples
from detection.evaluation.coco_metrics import score_sets
from detection.experiment.config import Kind
from detection.experiment.copy_paste import paste_pictures
from detection.experiment.jobs import PASTING, RESAMPLING, TRAINING, Job, Materials
from detection.experiment.pictures import write_sheet
from detection.experiment.results import CHECKPOINT, MODEL, PASTED, SCHEMA_VERSION, TrialFolder
from detection.inference.finding import find_objects
from generator.foundation.history import Listener
from generator.foundation.processes import Say
from generator.foundation.seeds import derive_seed
from generator.foundation.storage import make_folder

_PASTED_PICTURES = "pictures"
_LOSS_DIGITS = 5
_SHOWN = 9


class _Steps(Listener):
    def __init__(self, say: Say):
        self._say = say

    def on_start(self, _: int, finished: int) -> None:
        self._say((finished, float("nan")))

    def on_step(self, step: int, loss: float) -> None:
        self._say((step, loss))


def run_job(job: Job, say: Say, *, materials: Materials, jobs: Path) -> tuple[int, float | None]:
    """Do what is not yet done of a job; `say` is told (steps trained, loss). Returns its steps and its mAP, if scored.

    Raises BoxpaintError.
    """
    folder, config = TrialFolder.of(jobs, job, materials), materials.config
    if not folder.is_trained:
        folder.begin()
        _train(job, materials, jobs, folder, say)
    if not folder.is_finished(config.bootstrap):
        seed = derive_seed(config.seed, RESAMPLING)
        drawn = draw_resamples(len(materials.test), count=config.bootstrap, seed=seed)
        folder.write_resampled(ResampledAp(materials.test, folder.read_detections()).ap_of_categories(drawn))
    report = folder.read()
    return len(report["losses"]), report["scores"]["ap"] if report["scores"] else None


def _train(job: Job, materials: Materials, jobs: Path, folder: TrialFolder, say: Say) -> None:
    config, device = materials.config, torch.device(materials.device)
    seed = derive_seed(config.seed, TRAINING, job.subset)
    detector: Detector
    if job.start is not None:
        detector = load_detector(TrialFolder.of(jobs, job.start, materials).path / MODEL, device)
    else:
        wish = config.detector
        detector = make_detector(wish.name, config.categories, wish.options, seed=seed, device=device)
    begun = time.perf_counter()
    pictures = _Pictures(job, materials, folder)
    mix = BATCHES[job.kind](pictures)
    result = detector.fit(
        mix, job.settings(config), seed=seed, checkpoint=folder.path / CHECKPOINT, listener=_Steps(say)
    )
    trained = time.perf_counter()
    scores = None
    if job.kind != "pretrain":
        scores = score_sets(materials.test, folder.write_detections(find_objects(detector, materials.test))).to_json()
    if job.kind == "pretrain" or config.keep_models:
        detector.save(folder.path / MODEL)
    report = {
        "schema_version": SCHEMA_VERSION,
        "job": job.to_json(),
        "identity": materials.identity(job),
        "losses": [round(loss, _LOSS_DIGITS) for loss in result.losses],
        "seconds": {"training": round(trained - begun, 2), "scoring": round(time.perf_counter() - trained, 2)},
        "made_on": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "device": str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
            "threads": torch.get_num_threads(),
        },
        "scores": scores,
        "box_scales": {name: asdict(scale) for name, scale in pictures.scales.items()},
    }
    folder.write(report, indent=1)
    for name in (CHECKPOINT, _PASTED_PICTURES):
        shutil.rmtree(folder.path / name, ignore_errors=True)


class _Pictures:
    """The pictures of a job, and how the boxes of painted ones were scaled."""

    def __init__(self, job: Job, materials: Materials, folder: TrialFolder):
        self.job, self.materials, self.folder = job, materials, folder
        self.config = materials.config
        self.scales: dict[str, BoxScale] = {}

    def real(self) -> DetectionDataset:
        return _there(self.materials.real_of(self.job), self.job)

    def painted(self) -> DetectionDataset:
        """With boxes as the experiment wants them."""
        painted = _there(self.materials.painted_of(self.job), self.job)
        prepared, self.scales = with_boxes(painted, self.config.synthetic.boxes, self.materials.measured_of(self.job))
        return prepared

    def pasted(self) -> DetectionDataset:
        """Real pictures with pasted objects, the same for all arms; leaves a sheet of some of them to look at."""
        seed = derive_seed(self.config.seed, PASTING, self.job.subset, self.job.number)
        place = make_folder(self.folder.path / _PASTED_PICTURES)
        pasted = paste_pictures(self.real(), self.config.copy_paste, place, seed=seed)
        write_sheet(self.folder.path / PASTED, pasted, most=_SHOWN, columns=3, cell_width=320)
        return pasted


def _there(data: DetectionDataset | None, job: Job) -> DetectionDataset:
    if data is None:
        raise ValueError(f"{job.name}: no pictures to train on")
    return data


def _real(pictures: _Pictures) -> TrainingMix:
    return TrainingMix.of(pictures.real())


def _real_and_pasted(pictures: _Pictures) -> TrainingMix:
    share = pictures.config.copy_paste.share
    return TrainingMix(sets=(pictures.real(), pictures.pasted()), shares=(1 - share, share))


def _painted(pictures: _Pictures) -> TrainingMix:
    return TrainingMix.of(pictures.painted())


def _real_and_painted(pictures: _Pictures) -> TrainingMix:
    share = pictures.config.mixed.real_share
    return TrainingMix(sets=(pictures.real(), pictures.painted()), shares=(share, 1 - share))


# What batches are drawn from, in the part of a training that a job is.
BATCHES: dict[Kind | Literal["pretrain"], Callable[[_Pictures], TrainingMix]] = {
    "pretrain": _painted,
    "real": _real,
    "copy_paste": _real_and_pasted,
    "synthetic": _painted,
    "calibrated": _painted,
    "refined": _real,
    "refined_copy_paste": _real_and_pasted,
    "mixed": _real_and_painted,
}
