"""How many pictures go through a UNet together: given, known for a CPU, or measured on a GPU."""

from __future__ import annotations

from collections.abc import Callable

import torch

from generator.config import Config
from generator.foundation.device import free_cached_memory
from generator.foundation.loading import is_out_of_memory

# On two CPU cores a larger batch gains nothing and padding costs more (docs/decisions/0002).
CPU_BATCH, MPS_BATCH = 2, 4
# More pictures at a time are no faster, and a chunk would have to be as large to fill them.
MAX_BATCH = 16
# Of a GPU's memory: what is left to the allocator's fragments and to other programs.
_RESERVE = 0.1


def choose_batch_size(config: Config, device: torch.device) -> int | None:
    """Pictures that go through a UNet together; None where the memory of a GPU is to be measured (`fitting_batch`)."""
    if isinstance(config.batch_size, int):
        return config.batch_size
    return {"cuda": None, "mps": MPS_BATCH}.get(device.type, CPU_BATCH)


def fitting_batch(peak_bytes: Callable[[int], int], free_bytes: int) -> int:
    """Work out how many pictures fit: the power of two below it, so that equal devices paint equal bytes.

    `peak_bytes(n)` paints n pictures and says what that took beside the models; it may run out of memory.
    """
    try:
        one, two = peak_bytes(1), peak_bytes(2)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return 1
    each = max(two - one, 1)
    fits = 1 + max(0, int((1 - _RESERVE) * free_bytes) - one) // each
    return min(MAX_BATCH, 2 ** (fits.bit_length() - 1))


def measured_peak(device: torch.device, do: Callable[[], object]) -> int:
    """Bytes of a GPU that doing something took for a while, beside what was held before."""
    free_cached_memory(device)
    torch.cuda.reset_peak_memory_stats(device)
    held = torch.cuda.memory_allocated(device)
    do()
    return torch.cuda.max_memory_allocated(device) - held


def free_bytes(device: torch.device, sharing: int) -> int:
    """Bytes of a GPU that are left to one of those that share it, beside its models: the same at every start."""
    total = torch.cuda.get_device_properties(device).total_memory
    return total // sharing - torch.cuda.memory_allocated(device)
