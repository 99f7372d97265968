"""Candidates: attempts at objects, from the task through painted and stitched to judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from generator.config import LabelConfig, PaintingConfig
from generator.foundation.geometry import Box
from generator.foundation.seeds import derive_rng, derive_seed
from generator.labels.checks import Evidence, measure_contrast, picture_verdict, run_checks
from generator.labels.verifier import Verifier, View
from generator.painting.crop import native_mask, to_native
from generator.painting.painter import InpaintJob, Painter, Painting
from generator.painting.scene_state import InpaintTask
from generator.painting.stitch import stitch
from generator.types import Attempt, Verdict

# Last position below an object's attempt seed.
_NOISE, _EDGE = 0, 1


@dataclass(slots=True, kw_only=True, eq=False)
class Candidate:
    """One attempt at an object. Each step of a round fills in a field, which none may read before.

    `painting` is the crop at the model's size; `pixels` (HWC uint8) the crop with the object in it, and `evidence` what
    was found there; `look` (HWC uint8) the same crop as the finished picture would show it; `attempt` its verdicts.
    """

    task: InpaintTask
    number: int
    painting: Painting = field(init=False)
    pixels: np.ndarray = field(init=False)
    evidence: Evidence = field(init=False)
    look: np.ndarray = field(init=False)
    attempt: Attempt = field(init=False)

    @property
    def seed(self) -> int:
        """What the painter's noise comes from."""
        return derive_seed(self.task.placement.seed, self.number, _NOISE)

    @property
    def box(self) -> Box | None:
        """The object's tight box in pixels of the crop; None for a decoy, and where nothing was painted."""
        return None if self.task.placement.is_decoy or self.evidence.fault else self.evidence.label_box

    @property
    def margin(self) -> float:
        """How much the verifier likes it."""
        return self.evidence.sighting.margin if self.evidence.sighting is not None else 0.0

    def attempt_beaten(self) -> Attempt:
        """The attempt, with the verdict that another one was better where nothing else speaks against it."""
        if not self.attempt.accepted:
            return self.attempt
        score, reason = round(self.margin, 4), "another seed came out better"
        beaten = Verdict(check="best_of", passed=False, score=score, reason=reason)
        return replace(self.attempt, verdicts=(*self.attempt.verdicts, beaten))


def paint(candidates: Sequence[Candidate], painter: Painter) -> None:
    """Let the painter paint all of them, in its own batches."""
    jobs = [
        InpaintJob(
            prompt=each.task.placement.prompt,
            negative_prompt=each.task.placement.negative_prompt,
            seed=each.seed,
            size_wh=each.task.frame.native_wh,
            image=to_native(each.task.before, each.task.frame),
            mask=native_mask(each.task.frame, each.task.protected),
        )
        for each in candidates
    ]
    for each, painting in zip(candidates, painter.inpaint(jobs), strict=True):
        each.painting = painting


def stitch_into_crops(candidates: Sequence[Candidate], settings: PaintingConfig) -> None:
    """Blend what was painted into the crops, and find it there. Unless they are finished, that is how they look."""
    for each in candidates:
        task = each.task
        each.pixels, each.evidence = stitch(
            task.before,
            each.painting,
            task.frame,
            task.placement,
            protected=task.protected,
            rng=derive_rng(task.placement.seed, each.number, _EDGE),
            settings=settings,
        )
        each.look = each.pixels


def judge(candidates: Sequence[Candidate], verifier: Verifier | None, limits: LabelConfig) -> None:
    """Check what was painted; objects of which nothing was painted are shown to no verifier.

    The crops as they look are what the verifier is shown, and where contrast is measured.
    """
    for each in candidates:
        mask = each.evidence.label_mask
        contrast, left = measure_contrast(each.look, mask), each.task.scene.left_visible(mask, each.task.frame.crop)
        each.evidence = replace(each.evidence, contrast=contrast, left_visible=left)
    if verifier is not None:
        shown = [(each, box) for each in candidates if (box := each.box) is not None]
        views = [View(picture=each.look, box=box, category=each.task.placement.category) for each, box in shown]
        for (each, _), sighting in zip(shown, verifier.look(views), strict=True):
            each.evidence = replace(each.evidence, sighting=sighting)
    for each in candidates:
        # No object is expected of a decoy: it only has to be a picture, and to show none.
        is_decoy, fault = each.task.placement.is_decoy, each.evidence.fault
        verdicts = (picture_verdict(fault),) if is_decoy else run_checks(each.evidence, limits)
        if verifier is not None and all(verdict.passed for verdict in verdicts):
            within, known = each.task.frame.region_in_crop(), _known_around(each, candidates)
            verdicts += (verifier.unlabelled_verdict(each.look, limits, within=within, known=known),)
        if each.number in each.task.scene.rejected.get(each.task.placement.object_index, ()):
            verdicts += (Verdict(check="review", passed=False, score=0.0, reason="rejected in review"),)
        each.attempt = Attempt(number=each.number, seed=each.seed, verdicts=verdicts)


def _known_around(candidate: Candidate, candidates: Sequence[Candidate]) -> list[Box]:
    """Objects that may be seen in a crop, in its pixels: earlier ones, those painted in the same round, its own."""
    task, boxes = candidate.task, candidate.task.scene.known_boxes
    for each in candidates:
        if each.task.scene is task.scene and each.task is not task and each.box is not None:
            boxes.append(each.task.frame.on_canvas(each.box))
    known = [task.frame.in_crop(box) for box in boxes]
    return known if candidate.box is None else [*known, candidate.box]
