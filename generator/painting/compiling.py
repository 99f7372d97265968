"""torch.compile for the UNets: when it pays, and what to do where it cannot be had.

https://docs.pytorch.org/docs/stable/generated/torch.compile.html. Its results are cached on disk by torch itself
(TORCHINDUCTOR_CACHE_DIR), so that the next process starts with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from generator.config import Config
from generator.foundation.loading import is_out_of_memory
from generator.plan import Plan

# Compiling takes one to two minutes a UNet, and at 512 px takes about a third off the 0.17 s that an object costs on an
# H200 (258 against 420 TFLOP/s): below so many pictures it is not paid back.
WORTH_PICTURES = 3000


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
