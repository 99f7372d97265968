"""Is it as sharp as what is around it? A cut-out on a blurred picture is an artefact that a detector learns."""

from __future__ import annotations

from generator.config import LabelConfig
from generator.labels.checks.evidence import Evidence
from generator.types import Verdict


def check_sharpness(evidence: Evidence, limits: LabelConfig) -> Verdict:
    """Pass when the hardest edges of the object are not many times as hard as those around; score is the ratio."""
    score, limit = round(evidence.sharpness, 4), limits.max_sharpness
    passed = score <= limit
    reason = "" if passed else f"{score:.4g} times as sharp as what is around it, above {limit:g}"
    return Verdict(check="sharpness", passed=passed, score=score, reason=reason)
