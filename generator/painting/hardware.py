"""How a run uses its machine: pictures at a time, UNets compiled or not, and what run.json says of it.

torch.compile: https://docs.pytorch.org/docs/stable/generated/torch.compile.html. Its results are cached on disk by
torch itself (TORCHINDUCTOR_CACHE_DIR), so that the next process starts with them.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version

import cv2
import torch

from generator.config import Config
from generator.foundation.device import choose_device, choose_dtype, free_cached_memory
from generator.foundation.loading import is_out_of_memory
from generator.plan import Plan
from generator.weights import fingerprint

# On two CPU cores a larger batch gains nothing and padding costs more (docs/decisions/0002).
CPU_BATCH, MPS_BATCH = 2, 4
# More pictures at a time are no faster, and a chunk would have to be as large to fill them.
MAX_BATCH = 16
# Of a GPU's memory: what is left to the allocator's fragments and to other programs.
_RESERVE = 0.1
# Compiling takes one to two minutes a UNet, and at 512 px takes about a third off the 0.17 s that an object costs on an
# H200 (258 against 420 TFLOP/s): below so many pictures it is not paid back.
WORTH_PICTURES = 3000


def describe_models(config: Config, *, threads: int) -> dict[str, str]:
    """Say what decides the last bit of a picture: device, number format, weights. No model is loaded.

    Raises ModelError for a device that this machine lacks.
    """
    device = choose_device(config.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    described = {
        "device": f"{device} ({name})",
        "threads": str(threads),
        "batch_size": str(choose_batch_size(config, device) or "as memory allows"),
        "compile": config.compile,
        "torch": torch.__version__,
        "diffusers": version("diffusers"),  # to import it takes seconds, and only a worker needs it
        "opencv": cv2.__version__,
    }
    for role in ("inpaint", "background", "vae"):
        if (ref := getattr(config.models, role)) is not None:
            dtype = str(choose_dtype(ref.dtype or config.dtype, device)).removeprefix("torch.")
            described[role] = f"{fingerprint(ref)}, {dtype}"
    if config.labels.verify and config.models.clip is not None:
        for role in ("clip", "detector"):
            if (ref := getattr(config.models, role)) is not None:
                described[role] = fingerprint(ref)
    return described


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


def count_pictures(plan: Plan) -> int:
    """Pictures that a whole plan sends through the UNets, about: backgrounds, objects and decoys."""
    objects = sum(len(plan) * row.usual_count if row.total is None else row.total for row in plan.spec.classes)
    return round(len(plan) + objects * (1 + plan.config.placement.decoys))


def should_compile(config: Config, device: torch.device, pictures: int) -> bool:
    """Decide by the length of the whole plan, not by what is left of it: a run that goes on paints the same bytes."""
    if config.compile != "auto":
        return config.compile == "on"
    return device.type == "cuda" and pictures >= WORTH_PICTURES


def compile_unets(
    unets: Iterable[torch.nn.Module], try_out: Callable[[], object], on_warning: Callable[[str], None]
) -> bool:
    """Compile UNets in place, for the shapes that they meet; True when a try succeeds, else they stay as they were."""
    unets = list({id(unet): unet for unet in unets}.values())
    for unet in unets:
        unet.compile(dynamic=False)
    try:
        try_out()
    except (RuntimeError, ImportError, OSError) as error:  # torch's own, of a compiler that is missing, are the first
        if is_out_of_memory(error):  # it did compile; the painter halves the batch when it meets this
            return True
        for unet in unets:
            unet._compiled_call_impl = None
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        on_warning(f"the UNets cannot be compiled here ({cause}): painting without; compile: off asks no more")
        return False
    return True
