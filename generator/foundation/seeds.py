"""Every random number descends from the run's seed by position, never by order of execution.

`numpy.random.SeedSequence` with a spawn key gives streams that are independent of each other
(O'Neill 2015, the seed_seq design NumPy adopted), so scene 7 is the same whether it is painted first, alone or on
another machine.
"""

from __future__ import annotations

import functools

import numpy as np

MAX_SEED = 2**63 - 1
_WORD_BITS, _POOL_WORDS = 32, 4


def derive_seed(seed: int, *position: int) -> int:
    """Derive a seed (0 <= seed < 2**63) for a position below `seed`, e.g. (scene, object, attempt)."""
    return int(_sequence(seed, position).generate_state(1, np.uint64)[0]) & MAX_SEED


def derive_rng(seed: int, *position: int) -> np.random.Generator:
    """Make the random generator of a position below `seed`."""
    return np.random.Generator(np.random.PCG64(_sequence(seed, position)))


def _sequence(seed: int, position: tuple[int, ...]) -> np.random.SeedSequence:
    """Make `SeedSequence(entropy=seed, spawn_key=position)`, in half the time: a plan has several for each scene.

    NumPy joins the two to words of 32 bits, the seed's filled up with zeros to the size of its pool; given as words,
    they need not be taken apart again.
    """
    if position and seed >= 0 and min(position) >= 0 and not max(position) >> _WORD_BITS:
        return np.random.SeedSequence(np.array([*_words(seed), *position], np.uint32))
    return np.random.SeedSequence(entropy=seed, spawn_key=position)


@functools.lru_cache(maxsize=64)
def _words(seed: int) -> tuple[int, ...]:
    count = max(_POOL_WORDS, -(-seed.bit_length() // _WORD_BITS))
    return tuple(seed >> _WORD_BITS * place & 2**_WORD_BITS - 1 for place in range(count))
