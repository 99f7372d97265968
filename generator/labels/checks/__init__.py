"""Checks of one painted object. Each is one file and one line here; each takes the evidence and the limits and
gives a verdict."""

from __future__ import annotations

from collections.abc import Callable

from generator.config import LabelConfig
from generator.labels.checks.changed_area import check_changed_area
from generator.labels.checks.contrast import check_contrast
from generator.labels.checks.covering import check_covering
from generator.labels.checks.edge_contact import check_edge_contact
from generator.labels.checks.evidence import Evidence
from generator.labels.checks.picture import check_picture
from generator.labels.checks.sharpness import check_sharpness
from generator.labels.checks.sighting import check_agreement, check_relevance
from generator.labels.checks.whole import check_fragments, check_size
from generator.types import Sighting, Verdict

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


def run_checks(evidence: Evidence, limits: LabelConfig) -> tuple[Verdict, ...]:
    """Run every check, in the order of CHECKS, then those of what the verifier saw, if there is one."""
    verdicts = [check(evidence, limits) for check in CHECKS.values()]
    if evidence.sighting is not None:
        verdicts += [check(evidence, evidence.sighting, limits) for check in SIGHTING_CHECKS.values()]
    return tuple(verdicts)
