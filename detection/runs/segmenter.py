"""Train a segmenter: a detector's run, then scores and overlays of masks on the validation pictures beside it.

mask_scores.json       mask AP and mean IoU of the kept weights on the validation pictures
overlays.png           some of these pictures, each beside what was found in it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from detection.datasets.masks import PackedDetections, check_masks
from detection.datasets.sources import Source
from detection.detectors.registry import DETECTORS, load_detector
from detection.detectors.types import Detector
from detection.evaluation.mask_scores import MIN_SCORE, score_masks
from detection.inference.drawing import ContactSheet
from detection.inference.finding import find_each, labelled_pictures
from detection.inference.results import write_png
from detection.runs.folder import MASK_SCORES, MODEL, OVERLAYS
from detection.runs.run import RunPlan, RunResult, train_run
from generator.foundation.errors import ModelError, StorageError
from generator.foundation.history import Listener
from generator.foundation.run_folder import working_in
from generator.foundation.storage import read_json, remove, sha256_of, write_json


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmenterResult:
    """A finished training; `masks` as MaskScores.to_json, None without validation pictures."""

    run: RunResult
    masks: dict[str, Any] | None


def train_segmenter(
    plan: RunPlan,
    out: Path,
    *,
    device: torch.device,
    command: Sequence[str],
    overwrite: bool = False,
    listener: Listener | None = None,
) -> SegmenterResult:
    """Train a detector that gives masks; see `train_run`, which this adds masks to.

    Raises DatasetError that names the objects without a mask, before anything is trained.
    """
    known = [name for name, info in DETECTORS.items() if info.gives_masks]
    if plan.detector not in known:
        raise ModelError(f"there is no detector {plan.detector!r} that gives masks; known: {', '.join(known)}")
    for source in (*plan.sources, *([plan.validation] if plan.validation else [])):
        check_masks(source.data, where=source.name)
    run = train_run(plan, out, device=device, command=command, overwrite=overwrite, listener=listener)
    with working_in(out):
        if plan.validation is None:
            for name in (MASK_SCORES, OVERLAYS):
                remove(out / name)  # of an older run
            return SegmenterResult(run=run, masks=None)
        model = out / MODEL
        # A kill may have come between the run and this, or an older run's scores be left in the folder.
        weights = {path.name: sha256_of(path) for path in sorted(model.iterdir()) if path.is_file()}
        scored = {"model": weights, "validation": plan.validation.digest}
        before = _read_scores(out / MASK_SCORES)
        if {**before, **scored} == before and "masks" in before:
            return SegmenterResult(run=run, masks=before["masks"])
        masks = _score(load_detector(model, device), plan.validation, out / OVERLAYS)
        write_json(out / MASK_SCORES, {**scored, "masks": masks})
        return SegmenterResult(run=run, masks=masks)


def _read_scores(path: Path) -> dict[str, Any]:
    """Nothing where they are missing or damaged: they can be made anew."""
    try:
        return read_json(path) if path.exists() else {}
    except StorageError:
        return {}


def _score(detector: Detector, validation: Source, sheet_path: Path) -> dict[str, Any]:
    pictures = labelled_pictures(validation.data)
    sheet = ContactSheet(detector.categories, len(pictures))
    packed = PackedDetections()
    for _, pixels, found in find_each(detector, pictures, {}):
        packed.append(found)
        sheet.offer(pixels, found.confident(MIN_SCORE))
    write_png(sheet_path, sheet.draw())
    return score_masks(validation.data, packed).to_json()
