"""Which picture comes when: a pure function of seed and number, so that a training can go on anywhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generator.foundation.seeds import derive_rng

# (which data set of the mix, which of its pictures)
Pick = tuple[int, int]


class MixOrder:
    """The order in which pictures of several data sets are drawn.

    After n pictures each set has given its share of n, to within one picture for two sets (the set that is furthest
    behind its share is next); each set goes through its pictures in rounds, every round shuffled anew.
    """

    def __init__(self, sizes: Sequence[int], shares: Sequence[float], *, seed: int):
        self._sizes = tuple(sizes)
        self._shares = np.array(shares, np.float64) / sum(shares)
        self._seed = seed
        self._start_again()

    def batch(self, step: int, batch_size: int) -> list[Pick]:
        """Pictures of a step, from 0; quickest when steps are asked for in their order."""
        first = step * batch_size
        if first < self._drawn:
            self._start_again()
        while self._drawn < first:
            self._next_set()
        return [self._pick() for _ in range(batch_size)]

    def _start_again(self) -> None:
        self._drawn = 0
        self._counts = [0] * len(self._sizes)
        self._rounds: dict[int, tuple[int, np.ndarray]] = {}

    def _next_set(self) -> int:
        self._drawn += 1
        behind = self._shares * self._drawn - self._counts
        chosen = int(np.argmax(behind))
        self._counts[chosen] += 1
        return chosen

    def _pick(self) -> Pick:
        chosen = self._next_set()
        round_number, position = divmod(self._counts[chosen] - 1, self._sizes[chosen])
        known = self._rounds.get(chosen)
        if known is None or known[0] != round_number:
            order = derive_rng(self._seed, chosen, round_number).permutation(self._sizes[chosen])
            known = self._rounds[chosen] = round_number, order
        return chosen, int(known[1][position])
