"""Was anything painted? A model that ignores the prompt continues the background, and nothing changes."""

from __future__ import annotations

from generator.config import LabelConfig
from generator.labels.checks.evidence import Evidence
from generator.types import Verdict, percent


def check_changed_area(evidence: Evidence, limits: LabelConfig) -> Verdict:
    """Pass when the mask covers enough; score is its area as a share of the requested box."""
    share = float(evidence.label_mask.sum()) / evidence.box.area
    passed = share >= limits.min_area
    reason = "" if passed else f"changed area is {percent(share)} of the box, below {percent(limits.min_area)}"
    return Verdict(check="changed_area", passed=passed, score=round(share, 4), reason=reason)
