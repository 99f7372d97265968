"""Does it hide an object that was painted before it? Then that one would stay in the picture without a label."""

from __future__ import annotations

from generator.config import LabelConfig
from generator.labels.checks.evidence import Evidence
from generator.types import Verdict, percent


def check_covering(evidence: Evidence, limits: LabelConfig) -> Verdict:
    """Pass when enough of every earlier object stays visible; score is the share of the one that it hits worst."""
    share = evidence.left_visible
    passed = share >= limits.min_visible and share > 0
    seen, least = percent(share), percent(limits.min_visible)
    reason = "" if passed else f"leaves only {seen} of an earlier object visible, below {least}"
    return Verdict(check="covering", passed=passed, score=round(share, 4), reason=reason)
