"""Is it a picture at all? NaN, black and flat output come from number formats that overflow."""

from __future__ import annotations

from generator.config import LabelConfig
from generator.labels.checks.evidence import Evidence
from generator.types import Verdict


def check_picture(evidence: Evidence, _limits: LabelConfig) -> Verdict:
    """Pass when the painter found no fault; score 1 or 0."""
    return picture_verdict(evidence.fault)


def picture_verdict(fault: str) -> Verdict:
    """Make the verdict on a picture from what the painter found wrong with it ("": nothing)."""
    return Verdict(check="picture", passed=not fault, score=0.0 if fault else 1.0, reason=fault)
