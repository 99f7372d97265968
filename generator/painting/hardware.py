"""How a run uses its machine: workers, pictures at a time, UNets compiled or not, and what run.json says of it.

torch.compile: https://docs.pytorch.org/docs/stable/generated/torch.compile.html. Its results are cached on disk by
torch itself (TORCHINDUCTOR_CACHE_DIR), so that the next process starts with them.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version

import cv2
import psutil
import torch

from generator.config import Config
from generator.foundation.device import choose_device, choose_dtype, free_cached_memory, is_out_of_memory
from generator.foundation.errors import reason_of
from generator.foundation.processes import count_cores
from generator.models.weights import fingerprint
from generator.plan import Plan

# On two CPU cores a larger batch gains nothing and padding costs more (docs/decisions/0002).
CPU_BATCH, MPS_BATCH = 2, 4
# More pictures at a time are no faster, and a chunk would have to be as large to fill them.
MAX_BATCH = 16
# Of a GPU's memory: what is left to the allocator's fragments and to other programs.
_RESERVE = 0.1
# Compiling takes one to two minutes a UNet, and at 512 px takes about a third off the 0.17 s that an object costs on an
# H200 (258 against 420 TFLOP/s): below so many pictures it is not paid back.
WORTH_PICTURES = 3000
# What a process needs on a GPU, with Stable Diffusion and the models that verify; of one GPU so many share it at most:
# while one blends, labels and writes, another one paints.
_GPU_WORKER_BYTES, WORKERS_PER_GPU = 24 * 2**30, 3
# What a process needs on a CPU, with the embedded models.
_WORKER_BYTES = 1536 * 2**20


def workers_per_gpu(gpu_bytes: int, cores: int) -> int:
    """Processes that may share one GPU of so much memory, on a machine with so many cores for each of its GPUs."""
    return max(1, min(WORKERS_PER_GPU, gpu_bytes // _GPU_WORKER_BYTES, cores // 2))


def count_threads(config: Config) -> int:
    """Threads that a worker computes with on a CPU."""
    return config.threads if isinstance(config.threads, int) else torch.get_num_threads()


def visible_gpus(config: Config) -> list[str]:
    """Names of the GPUs that the workers of this machine may use, one each, as CUDA_VISIBLE_DEVICES has them."""
    if choose_device(config.device) != torch.device("cuda"):  # "cuda:1" is one that somebody chose
        return []
    names = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return names or [str(number) for number in range(torch.cuda.device_count())]


def count_workers(config: Config) -> int:
    """Processes that paint on this machine: a few for each GPU, or as many as its cores and free memory allow."""
    if isinstance(config.workers, int):
        return config.workers
    if gpus := visible_gpus(config):
        smallest = min(torch.cuda.get_device_properties(number).total_memory for number in range(len(gpus)))
        return len(gpus) * workers_per_gpu(smallest, (psutil.cpu_count() or 1) // len(gpus))
    if choose_device(config.device).type != "cpu":
        return 1
    by_memory = psutil.virtual_memory().available // _WORKER_BYTES
    # torch knows of OMP_NUM_THREADS, and counts no core twice.
    cores = count_cores(torch.get_num_threads())
    return max(1, min(cores // config.threads, by_memory)) if isinstance(config.threads, int) else 1


def describe_models(config: Config) -> dict[str, str]:
    """Say what decides the last bit of a picture: device, number format, weights. No model is loaded.

    Raises ModelError for a device that this machine lacks.
    """
    device = choose_device(config.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    described = {
        "device": f"{device} ({name})",
        "threads": str(count_threads(config)),
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
    """Pictures that a whole plan sends through the UNets, about: backgrounds that are no photos, objects and decoys."""
    objects = sum(len(plan) * row.usual_count if row.total is None else row.total for row in plan.spec.classes)
    backgrounds = sum(row.num_imgs for row in plan.spec.backgrounds if row.photos is None)
    return round(backgrounds + objects * (1 + plan.config.placement.decoys))


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
        cause = reason_of(error)
        on_warning(f"the UNets cannot be compiled here ({cause}): painting without; compile: off asks no more")
        return False
    return True
