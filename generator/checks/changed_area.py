"""Was anything painted? A model that ignores the prompt continues the background, and nothing changes."""

from __future__ import annotations

from generator.checks.evidence import Evidence
from generator.config_sections import LabelConfig
from generator.types import Verdict


def check_changed_area(evidence: Evidence, limits: LabelConfig) -> Verdict:
    """Pass when the mask covers enough; score is its area as a share of the requested box."""
    share = float(evidence.label_mask.sum()) / evidence.box.area
    passed = share >= limits.min_area
    reason = "" if passed else f"changed area is {share:.0%} of the box, below {limits.min_area:.0%}"
    return Verdict(check="changed_area", passed=passed, score=round(share, 4), reason=reason)
