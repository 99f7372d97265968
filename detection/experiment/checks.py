"""What an experiment cannot do is said before hours of painting and training, not in the middle of them."""

from __future__ import annotations

import torch

from detection.detectors.registry import make_detector
from detection.experiment.config import ExperimentConfig
from detection.experiment.jobs import plan_grid
from generator.foundation.device import choose_device
from generator.foundation.errors import BoxpaintError


def check_training(config: ExperimentConfig) -> torch.device:
    """Make the detector once, with its weights; returns the device for the trainings. Raises ModelError."""
    device = choose_device(config.device)
    detector = config.detector
    make_detector(detector.name, config.categories, detector.options, seed=config.seed, device=torch.device("cpu"))
    return device


def check_numbers(config: ExperimentConfig, *, available: int, painted: int | None) -> None:
    """Compare the numbers asked for with the real pictures and the painted ones, as far as known, that there are.

    Raises BoxpaintError, also when one number is meant twice.
    """
    jobs = plan_grid(config, available, painted or 0)
    most = max(max(job.number, job.all_measured) for job in jobs)
    curve = config.value_curve
    if curve is not None:
        most = max(most, curve.real_images)
        if painted is not None and curve.numbers[-1] > painted:
            raise BoxpaintError(f"value_curve.numbers: {curve.numbers[-1]} painted images; there are {painted}")
    if most > available:
        raise BoxpaintError(f"real_images: {most} real training pictures are asked for; there are {available}")
    if len(set(jobs)) < len(jobs):
        raise BoxpaintError(f"real_images: 'all' and {available} are the same number; leave one of them out")
