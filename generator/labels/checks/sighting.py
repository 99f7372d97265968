"""What the verifier says: is it an object of its class, and where the painter's change says it is?"""

from __future__ import annotations

from generator.config import LabelConfig
from generator.foundation.geometry import box_iou
from generator.labels.checks.evidence import Evidence
from generator.types import Sighting, Verdict, label_from_mask, percent


def check_relevance(_evidence: Evidence, sighting: Sighting, limits: LabelConfig) -> Verdict:
    """Pass when the class is likelier than every other and the background by a margin; score is that margin."""
    passed = sighting.margin >= limits.min_margin
    rival = sighting.rival or "nothing"
    reason = (
        f"looks like {rival} ({percent(sighting.rival_score)}), and like what it should be {percent(sighting.score)}: "
        f"a margin of {percent(sighting.margin)}, below {percent(limits.min_margin)}"
    )
    return Verdict(check="relevance", passed=passed, score=round(sighting.margin, 4), reason="" if passed else reason)


def check_agreement(evidence: Evidence, sighting: Sighting, limits: LabelConfig) -> Verdict:
    """Pass when the verifier's own box, where it has one, lies on what was painted; score is their IoU."""
    if sighting.box is None or not evidence.label_mask.any():
        return Verdict(check="agreement", passed=True, score=0.0)
    iou = box_iou(label_from_mask(evidence.label_mask).painted_box, sighting.box)
    passed = iou >= limits.min_agreement
    reason = "" if passed else f"the verifier's box agrees with an IoU of {iou:.3g}, below {limits.min_agreement:g}"
    return Verdict(check="agreement", passed=passed, score=round(iou, 4), reason=reason)
