from __future__ import annotations

from detection.captioner.trainer import rate_share


def test_the_rate_rises_and_falls() -> None:
    assert [round(rate_share(step, 40), 2) for step in (0, 1, 2, 21, 39)] == [0.5, 1.0, 1.0, 0.5, 0.0]
    assert rate_share(0, 1) == 1.0
