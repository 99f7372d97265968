"""Where and in which number format to compute, and what to do when memory runs out."""

from __future__ import annotations

import os
from typing import Any

import psutil
import torch

from generator.config import Config
from generator.foundation.errors import ModelError
from generator.foundation.processes import count_cores

# What a process needs on a GPU, with Stable Diffusion and the models that verify; of one GPU so many share it at most:
# while one blends, labels and writes, another one paints.
_GPU_WORKER_BYTES, WORKERS_PER_GPU = 24 * 2**30, 3
# What a process needs on a CPU, with the embedded models.
_WORKER_BYTES = 1536 * 2**20


def choose_device(wish: str) -> torch.device:
    """'auto' -> cuda, else mps, else cpu. Raises ModelError for a device that this machine lacks."""
    if wish == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wish)
        if device.type not in ("cuda", "mps", "cpu"):
            raise RuntimeError(wish)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise ModelError(f"device: {wish!r} cannot be used on this machine; try device: auto or cpu") from None
    return device


def choose_dtype(wish: str, device: torch.device) -> torch.dtype:
    """'auto' -> bfloat16 where the device computes in it, else float32 (float16 paints black pictures with SD 2.1)."""
    if wish != "auto":
        return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[wish]
    return torch.bfloat16 if has_bfloat16(device) else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Say whether a device multiplies bfloat16 itself; where it is emulated, float32 is faster."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


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


def autocast(device: torch.device) -> torch.autocast:
    """bfloat16 for training where the device computes in it: twice as fast on CPUs that have AVX512-BF16."""
    return torch.autocast(
        "cuda" if device.type == "cuda" else "cpu", dtype=torch.bfloat16, enabled=has_bfloat16(device)
    )


def free_cached_memory(device: torch.device) -> None:
    """Give back what the allocator holds but does not use."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
