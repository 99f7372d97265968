"""How long the rest of some work takes, by what was done since the first of it, which is slow: models are loaded."""

from __future__ import annotations

import time

# Seconds of work that an estimate needs.
_ENOUGH_S = 2.0
# Of less than that nobody needs to be told beforehand.
WORTH_SAYING_S = 10.0


class TimeLeft:
    """Estimates the seconds that are left of `total` pieces of work."""

    def __init__(self, total: float):
        self._total = total
        self._first: tuple[float, float] | None = None

    def after(self, done: float) -> float | None:
        """Seconds left when so much is done; None while too little is known. The first call only starts the clock."""
        now = time.monotonic()
        if self._first is None:
            self._first = now, done
            return None
        since, before = self._first
        if done <= before or now - since < _ENOUGH_S:
            return None
        return (self._total - done) * (now - since) / (done - before)


def in_words(seconds: float) -> str:
    """Round as people do.

    >>> [in_words(seconds) for seconds in (8.4, 90, 1500, 9000)]
    ['8 s', '2 min', '25 min', '2.5 h']
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
