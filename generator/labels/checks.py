"""Checks of one painted object: each is a function here and a line of CHECKS, and gives a verdict on the evidence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from generator.config import LabelConfig
from generator.foundation.geometry import Box, box_iou, box_of_mask
from generator.types import Sighting, Verdict, percent

# A mask this close to the region's edge (pixels) touches it: the blend has faded it out there.
TOUCH_PX = 2
# The surroundings of an object: as wide as this share of its longer side, and not its own soft rim.
RING, RIM_PX = 0.35, 2
# Of all pixels' distances: an object's pale rim says as little of it as the few oddest pixels around it do of those.
PERCENTILE = 80
# CIELAB's distance of white from black, for what fills the picture and has no surroundings.
MOST_CONTRAST = 100.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """One attempt at an object, all arrays of the crop's size on the canvas.

    `fault` is what the painter itself found ("" when nothing); `region` (HW bool) is where it painted, `mask` (HW
    bool) what was found painted there, `kept` (HW bool) where the blend left at least half of it; `box` is the
    requested one, relative to the crop; `open_edges` says for left, top, right, bottom whether the region ends at
    the picture's own edge, where being cut is natural. `sharpness` is how much harder its edges are than those of the
    picture around it, `contrast` how far it stands out from that in the picture that the verifier is shown (without
    one, in the crop as it is put in); `left_visible` is the share of an earlier object that it would leave to be seen,
    of the one that it hits worst; `sighting` is what the verifier saw, None without one.
    """

    fault: str
    region: np.ndarray
    mask: np.ndarray
    kept: np.ndarray
    box: Box
    open_edges: tuple[bool, bool, bool, bool]
    sharpness: float
    contrast: float = 0.0
    left_visible: float = 1.0
    sighting: Sighting | None = None

    @property
    def label_mask(self) -> np.ndarray:
        """The object as it stands in the picture (HW bool)."""
        return self.mask & self.kept

    @property
    def label_box(self) -> Box | None:
        """The tight box around that; None where nothing was painted."""
        return box_of_mask(self.label_mask)


def run_checks(evidence: Evidence, limits: LabelConfig) -> tuple[Verdict, ...]:
    """Run every check, in the order of CHECKS, then those of what the verifier saw, if there is one."""
    verdicts = [check(evidence, limits) for check in CHECKS.values()]
    if evidence.sighting is not None:
        verdicts += [check(evidence, evidence.sighting, limits) for check in SIGHTING_CHECKS.values()]
    return tuple(verdicts)


def check_picture(evidence: Evidence, _limits: LabelConfig) -> Verdict:
    """Is it a picture at all? NaN, black and flat output come from number formats that overflow; score 1 or 0."""
    return picture_verdict(evidence.fault)


def picture_verdict(fault: str) -> Verdict:
    """Make the verdict on a picture from what the painter found wrong with it ("": nothing)."""
    return _verdict("picture", 0.0 if fault else 1.0, not fault, fault)


def check_changed_area(evidence: Evidence, limits: LabelConfig) -> Verdict:
    """Was anything painted? A model that ignores the prompt continues the background; score is the share of the box."""
    share = float(evidence.label_mask.sum()) / evidence.box.area
    reason = f"changed area is {percent(share)} of the box, below {percent(limits.min_area)}"
    return _verdict("changed_area", share, share >= limits.min_area, reason)


def check_edge_contact(evidence: Evidence, limits: LabelConfig) -> Verdict:
    """Is the object whole? One that fills the painted region to its edge was cut there; score is the touched share.

    Where the region ends at the picture's own edge nothing is cut by us, so that side does not count.
    """
    region = box_of_mask(evidence.region)
    if region is None:
        raise ValueError("nothing was painted: the region is empty")
    mask = evidence.mask[region.slices]
    sides = (mask[:, :TOUCH_PX], mask[:TOUCH_PX].T, mask[:, -TOUCH_PX:], mask[-TOUCH_PX:].T)
    closed = [side.any(axis=1) for side, is_open in zip(sides, evidence.open_edges, strict=True) if not is_open]
    share = float(np.concatenate(closed).mean()) if closed else 0.0
    touched, most = percent(share), percent(limits.max_edge_contact)
    reason = f"touches {touched} of the painted region's edge, above {most}"
    return _verdict("edge_contact", share, share <= limits.max_edge_contact, reason)


def check_fragments(evidence: Evidence, limits: LabelConfig) -> Verdict:
    """Is it one object? Crumbs make a label that says something else; score is the share outside the largest part."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(evidence.label_mask.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    share = float((areas.sum() - areas.max()) / areas.sum()) if len(areas) else 0.0
    reason = f"{percent(share)} of it lies apart from the rest, above {percent(limits.max_fragments)}"
    return _verdict("fragments", share, share <= limits.max_fragments, reason)


def check_size(evidence: Evidence, limits: LabelConfig) -> Verdict:
    """Is the painted box about as large as the one asked for? Score is the ratio of their sides."""
    box = evidence.label_box
    ratio = math.sqrt((box.area if box else 0) / evidence.box.area)
    low, high = limits.size_range
    reason = f"{percent(ratio)} of the size asked for, not {percent(low)} to {percent(high)}"
    return _verdict("size", ratio, low <= ratio <= high, reason)


def check_sharpness(evidence: Evidence, limits: LabelConfig) -> Verdict:
    """Is it as sharp as what is around it? A cut-out on a blurred picture is an artefact that a detector learns."""
    score, limit = round(evidence.sharpness, 4), limits.max_sharpness
    reason = f"{score:.4g} times as sharp as what is around it, above {limit:g}"
    return _verdict("sharpness", score, score <= limit, reason)


def check_contrast(evidence: Evidence, limits: LabelConfig) -> Verdict:
    """Does it stand out? What can hardly be told from its surroundings is a label on nothing to everyone who looks.

    What an outside detector sees of painted platelets follows this better than any verifier's score: decision 0009.
    """
    score, least = round(evidence.contrast, 4), limits.min_contrast
    reason = f"hardly stands out from what is around it: {score:.4g}, below {least:g}"
    return _verdict("contrast", score, score >= least, reason)


def check_covering(evidence: Evidence, limits: LabelConfig) -> Verdict:
    """Does it hide an earlier object, which would stay in the picture without a label? Score: the share left of it."""
    share = evidence.left_visible
    reason = f"leaves only {percent(share)} of an earlier object visible, below {percent(limits.min_visible)}"
    return _verdict("covering", share, share >= limits.min_visible and share > 0, reason)


def check_relevance(_evidence: Evidence, sighting: Sighting, limits: LabelConfig) -> Verdict:
    """Is its class likelier than every other and the background? Score is the margin."""
    reason = (
        f"looks like {sighting.rival or 'nothing'} ({percent(sighting.rival_score)}), and like what it should be "
        f"{percent(sighting.score)}: a margin of {percent(sighting.margin)}, below {percent(limits.min_margin)}"
    )
    return _verdict("relevance", sighting.margin, sighting.margin >= limits.min_margin, reason)


def check_agreement(evidence: Evidence, sighting: Sighting, limits: LabelConfig) -> Verdict:
    """Does the verifier's own box, where it has one, lie on what was painted? Score is their IoU."""
    box = evidence.label_box
    if sighting.box is None or box is None:
        return _verdict("agreement", 0.0, True)
    iou = box_iou(box, sighting.box)
    reason = f"the verifier's box agrees with an IoU of {iou:.3g}, below {limits.min_agreement:g}"
    return _verdict("agreement", iou, iou >= limits.min_agreement, reason)


Check = Callable[[Evidence, LabelConfig], Verdict]
SightingCheck = Callable[[Evidence, Sighting, LabelConfig], Verdict]

CHECKS: dict[str, Check] = {
    "picture": check_picture,
    "changed_area": check_changed_area,
    "edge_contact": check_edge_contact,
    "fragments": check_fragments,
    "size": check_size,
    "sharpness": check_sharpness,
    "contrast": check_contrast,
    "covering": check_covering,
}

SIGHTING_CHECKS: dict[str, SightingCheck] = {
    "relevance": check_relevance,
    "agreement": check_agreement,
}


def _verdict(check: str, score: float, passed: bool, reason: str = "") -> Verdict:
    return Verdict(check=check, passed=passed, score=round(score, 4), reason="" if passed else reason)


def measure_contrast(picture: np.ndarray, mask: np.ndarray) -> float:
    """How far an object (HW bool) stands out in a picture (HWC uint8 RGB), in CIE76 units of L*a*b*, 0 and more.

    It is the distance of its colours from the median of its surroundings, less the distance that the surroundings
    themselves have from it: a red cell is no contrast among red cells.
    """
    box = box_of_mask(mask)
    if box is None:
        return 0.0
    width = max(RIM_PX + 1, round(RING * max(box.width, box.height)))
    ring = _grown(mask, width) & ~_grown(mask, RIM_PX)
    if not ring.any():
        return MOST_CONTRAST
    lab = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    distance = np.linalg.norm(lab - np.median(lab[ring], axis=0), axis=2)
    inside, around = (float(np.percentile(distance[part], PERCENTILE)) for part in (mask, ring))
    return max(0.0, inside - around)


def _grown(mask: np.ndarray, by_px: int) -> np.ndarray:
    side = 2 * by_px + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)
