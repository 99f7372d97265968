"""Checks of one painted object. Each is one file and one line here; each takes the evidence and the limits and
gives a verdict."""

from __future__ import annotations

from collections.abc import Callable

from generator.checks.changed_area import check_changed_area
from generator.checks.edge_contact import check_edge_contact
from generator.checks.evidence import Evidence
from generator.checks.picture import check_picture
from generator.config import LabelConfig
from generator.types import Verdict

Check = Callable[[Evidence, LabelConfig], Verdict]

CHECKS: dict[str, Check] = {
    "picture": check_picture,
    "changed_area": check_changed_area,
    "edge_contact": check_edge_contact,
}


def run_checks(evidence: Evidence, limits: LabelConfig) -> tuple[Verdict, ...]:
    """Run every check, in the order of CHECKS."""
    return tuple(check(evidence, limits) for check in CHECKS.values())
