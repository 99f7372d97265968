"""The batch is as large as memory allows, and a power of two."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from generator.config import Config
from generator.painting.batch_size import MAX_BATCH, choose_batch_size, fitting_batch

MB = 2**20


def costs(fixed: int, each: int) -> Callable[[int], int]:
    return lambda count: fixed + each * count


@pytest.mark.parametrize(
    ("peak", "free", "fits"),
    [
        (costs(0, 1000), 10_000 * MB, MAX_BATCH),
        (costs(0, 1000 * MB), 10_000 * MB, 8),  # nine fit into the nine tenths that are used
        (costs(500 * MB, 1000 * MB), 10_000 * MB, 8),
        (costs(500 * MB, 1000 * MB), 4_000 * MB, 2),
        (costs(0, 1000 * MB), 500 * MB, 1),
        (costs(0, 0), MB, MAX_BATCH),
    ],
)
def test_as_many_as_fit(peak: Callable[[int], int], free: int, fits: int) -> None:
    assert fitting_batch(peak, free) == fits


def test_where_two_do_not_fit_it_is_one() -> None:
    def scarce(count: int) -> int:
        if count > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return MB

    assert fitting_batch(scarce, 100 * MB) == 1


def test_another_error_is_not_taken_for_a_lack_of_memory() -> None:
    def broken(_: int) -> int:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        fitting_batch(broken, MB)


def test_what_is_given_is_not_measured_and_a_cpu_is_known() -> None:
    assert choose_batch_size(Config(batch_size=5), torch.device("cuda")) == 5
    assert choose_batch_size(Config(), torch.device("cpu")) == 2
    assert choose_batch_size(Config(), torch.device("cuda")) is None
