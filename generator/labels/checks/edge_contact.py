"""Is the object whole? One that fills the painted region to its edge goes on beyond it, and was cut there."""

from __future__ import annotations

import numpy as np

from generator.config import LabelConfig
from generator.labels.checks.evidence import Evidence
from generator.types import Verdict, percent

# A mask this close to the region's edge (pixels) touches it: the blend has faded it out there.
TOUCH_PX = 2


def check_edge_contact(evidence: Evidence, limits: LabelConfig) -> Verdict:
    """Pass when the mask keeps off the region's edge; score is the touched share of that edge.

    Where the region ends at the picture's own edge nothing is cut by us, so that side does not count.
    """
    rows = np.flatnonzero(evidence.region.any(axis=1))
    columns = np.flatnonzero(evidence.region.any(axis=0))
    mask = evidence.mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    sides = (mask[:, :TOUCH_PX], mask[:TOUCH_PX].T, mask[:, -TOUCH_PX:], mask[-TOUCH_PX:].T)
    closed = [side.any(axis=1) for side, is_open in zip(sides, evidence.open_edges, strict=True) if not is_open]
    share = float(np.concatenate(closed).mean()) if closed else 0.0
    passed = share <= limits.max_edge_contact
    touched, most = percent(share), percent(limits.max_edge_contact)
    reason = "" if passed else f"touches {touched} of the painted region's edge, above {most}"
    return Verdict(check="edge_contact", passed=passed, score=round(share, 4), reason=reason)
