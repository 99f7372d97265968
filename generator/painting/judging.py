"""Attempts at objects: put into the crop, and checked, by their pixels and by the verifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from generator.config import Config, LabelConfig
from generator.foundation.geometry import Box
from generator.foundation.seeds import derive_rng, derive_seed
from generator.labels.checks import Evidence, measure_contrast, picture_verdict, run_checks
from generator.labels.verifier import Verifier, View
from generator.painting.crop import to_native
from generator.painting.easel import Turn, left_visible
from generator.painting.jobs import InpaintJob, Painting
from generator.painting.mask import native_mask
from generator.painting.stitch import Stitched, stitch
from generator.types import Attempt, Verdict, label_from_mask

# Last position below an object's attempt seed.
_NOISE, _EDGE = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """An attempt with its verdicts: the crop as it would be (HWC uint8), and what was found in it."""

    turn: Turn
    pixels: np.ndarray
    evidence: Evidence
    attempt: Attempt

    @property
    def favour(self) -> float:
        """How much the verifier likes it."""
        return self.evidence.sighting.margin if self.evidence.sighting is not None else 0.0

    def attempt_beaten(self) -> Attempt:
        """The attempt, with the verdict that another one was better where nothing else speaks against it."""
        if not self.attempt.accepted:
            return self.attempt
        beaten = Verdict(
            check="best_of", passed=False, score=round(self.favour, 4), reason="another seed came out better"
        )
        return replace(self.attempt, verdicts=(*self.attempt.verdicts, beaten))


def job_of(turn: Turn, number: int) -> InpaintJob:
    """What the painter is to do for one attempt."""
    frame, placement = turn.frame, turn.placement
    return InpaintJob(
        prompt=placement.prompt,
        negative_prompt=placement.negative_prompt,
        seed=derive_seed(placement.seed, number, _NOISE),
        size_wh=frame.native_wh,
        image=to_native(turn.before, frame),
        mask=native_mask(frame, turn.protected),
    )


def stitched_in(turn: Turn, number: int, painting: Painting, config: Config) -> Stitched:
    """Blend what was painted into the crop."""
    return stitch(
        turn.before,
        painting.pixels,
        turn.frame,
        turn.placement,
        protected=turn.protected,
        fault=painting.fault,
        rng=derive_rng(turn.placement.seed, number, _EDGE),
        painting=config.painting,
    )


def judge(
    tries: Sequence[tuple[Turn, int]],
    stitched: Sequence[Stitched],
    looks: Sequence[np.ndarray],
    verifier: Verifier | None,
    config: Config,
) -> list[Judged]:
    """Check what was painted; objects of which nothing was painted are shown to no verifier.

    `looks` (HWC uint8 each) are the crops as they will be (without a verifier, as they are put in): what that is shown,
    and where contrast is measured.
    """
    evidence = [
        replace(
            each.evidence,
            contrast=measure_contrast(look, each.evidence.label_mask),
            left_visible=left_visible(turn.easel, each.evidence.label_mask, turn.frame.crop),
        )
        for (turn, _), each, look in zip(tries, stitched, looks, strict=True)
    ]
    boxes = {
        position: label_from_mask(each.label_mask).painted_box
        for position, ((turn, _), each) in enumerate(zip(tries, evidence, strict=True))
        if not turn.placement.is_decoy and not each.fault and each.label_mask.any()
    }
    painted = [
        (turn, _on_canvas(boxes[position], turn)) for position, (turn, _) in enumerate(tries) if position in boxes
    ]
    if verifier is not None:
        views = [
            View(picture=looks[position], box=box, category=tries[position][0].placement.category)
            for position, box in boxes.items()
        ]
        for position, sighting in zip(boxes, verifier.look(views), strict=True):
            evidence[position] = replace(evidence[position], sighting=sighting)
    return [
        Judged(
            turn=turn,
            pixels=each.pixels,
            evidence=found,
            attempt=Attempt(
                number=number,
                seed=derive_seed(turn.placement.seed, number, _NOISE),
                verdicts=_verdicts(turn, number, look, found, _beside(turn, painted), verifier, config.labels),
            ),
        )
        for (turn, number), each, look, found in zip(tries, stitched, looks, evidence, strict=True)
    ]


def _on_canvas(box: Box, turn: Turn) -> Box:
    return box.shifted(turn.frame.crop.x_min, turn.frame.crop.y_min)


def _beside(turn: Turn, painted: Sequence[tuple[Turn, Box]]) -> list[Box]:
    """Objects of the same picture that may be seen around a try: earlier ones, and those painted in the same round."""
    earlier = [item.label.painted_box for item in turn.easel.done if item.label is not None]
    return earlier + [box for other, box in painted if other.easel is turn.easel and other is not turn]


def _verdicts(
    turn: Turn,
    number: int,
    look: np.ndarray,
    evidence: Evidence,
    beside: Sequence[Box],
    verifier: Verifier | None,
    limits: LabelConfig,
) -> tuple[Verdict, ...]:
    is_decoy = turn.placement.is_decoy
    # No object is expected of a decoy: it only has to be a picture, and to show none.
    verdicts = (picture_verdict(evidence.fault),) if is_decoy else run_checks(evidence, limits)
    if verifier is not None and all(verdict.passed for verdict in verdicts):
        x, y = turn.frame.crop.x_min, turn.frame.crop.y_min
        known = [box.shifted(-x, -y) for box in beside]
        if not is_decoy:
            known.append(label_from_mask(evidence.label_mask).painted_box)
        region = turn.frame.region_on_canvas().shifted(-x, -y)
        verdicts += (verifier.unlabelled_verdict(look, limits, within=region, known=known),)
    if number in turn.easel.rejected.get(turn.placement.object_index, ()):
        verdicts += (Verdict(check="review", passed=False, score=0.0, reason="rejected in review"),)
    return verdicts
