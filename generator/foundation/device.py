"""Where and in which number format to compute, and what it looks like when memory runs out."""

from __future__ import annotations

from typing import Any

import torch

from generator.foundation.errors import ModelError


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


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that the batch or the model was too large for the device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)
