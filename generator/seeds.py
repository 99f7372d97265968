"""Every random number descends from the run's seed by position, never by order of execution.

`numpy.random.SeedSequence` with a spawn key gives streams that are independent of each other
(O'Neill 2015, the seed_seq design NumPy adopted), so scene 7 is the same whether it is painted first, alone or on
another machine.
"""

from __future__ import annotations

import numpy as np

MAX_SEED = 2**63 - 1


def derive_seed(seed: int, *position: int) -> int:
    """Derive a seed (0 <= seed < 2**63) for a position below `seed`, e.g. (scene, object, attempt)."""
    state = np.random.SeedSequence(entropy=seed, spawn_key=position).generate_state(1, np.uint64)
    return int(state[0]) & MAX_SEED


def derive_rng(seed: int, *position: int) -> np.random.Generator:
    """Make the random generator of a position below `seed`."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy=seed, spawn_key=position)))
