"""What every training here shares: schedule, decay, number format, determinism, memory, checkpoints."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import torch
from torch import nn

from generator.foundation.errors import BoxpaintError, ModelError
from generator.foundation.loading import is_out_of_memory
from generator.foundation.stopping import StopRequest
from generator.foundation.storage import atomic_writer, translate_os_errors

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Model = TypeVar("Model", bound=nn.Module)
SECONDS_BETWEEN_CHECKPOINTS = 120.0
# Where a checkpoint takes long to write, they are farther apart: so many times as long as that.
_BETWEEN_PER_WRITING = 20
# What torch.load raises depends on where a file is torn.
NO_CHECKPOINT = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError, AttributeError)


def rate_share(step: int, steps: int, warmup: int) -> float:
    """Share of the highest learning rate at a step (from 0): up in a line, then down by a half cosine.

    Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts.

    >>> [round(rate_share(step, 40, 2), 2) for step in (0, 1, 2, 21, 39)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def decayed_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser; those that ask for no gradient are left out.

    Decay pulls weights to zero; a bias, or the scale of a norm, has no business there.
    """
    trained = [each for each in parameters if each.requires_grad]
    return [
        {"params": [each for each in trained if each.ndim >= 2], "weight_decay": weight_decay},
        {"params": [each for each in trained if each.ndim < 2], "weight_decay": 0.0},
    ]


def placed(model: Model, device: torch.device) -> Model:
    """Move a model to a device, with weights in the order in which convolutions on a CPU take half the time."""
    # Its overloads leave the memory format out.
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


@contextlib.contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Ask CUDA for kernels that add in a fixed order, so that a seed gives the same bytes on the same machine."""
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@contextlib.contextmanager
def memory_explained(device: torch.device, batch_size: int) -> Iterator[None]:
    """Turn running out of memory into a ModelError that says what to change."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            on_one = "a smaller model or smaller pictures" if device.type == "cpu" else "--device cpu"
            advice = "a smaller --batch-size" if batch_size > 1 else on_one
            raise ModelError(f"not enough memory on {device} for batches of {batch_size}; try {advice}") from error
        raise


def in_smaller_batches(answer: Callable[[Sequence[Item]], list[Answer]], batch: Sequence[Item]) -> list[Answer]:
    """Ask for the answers to a batch; where memory runs out, to each half of it, down to single items.

    Raises what `answer` raises, also the lack of memory for one item.
    """
    try:
        return answer(batch)
    except (RuntimeError, MemoryError) as error:
        if len(batch) < 2 or not is_out_of_memory(error):
            raise
    # Outside of the handler: its traceback would keep the tensors of the failed try.
    middle = len(batch) // 2
    return in_smaller_batches(answer, batch[:middle]) + in_smaller_batches(answer, batch[middle:])


def finite(loss: torch.Tensor, learning_rate: float) -> float:
    """The loss as a number; raises ModelError when the training has broken down."""
    value = float(loss.detach())
    if not math.isfinite(value):
        advice = f"try a --learning-rate below {learning_rate:g}"
        raise ModelError(f"the loss became {value}: the training has broken down; {advice}")
    return value


def save_checkpoint(path: Path, made_from: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write where a training stands, whole or not at all. `made_from` is plain data that decides its course."""
    with atomic_writer(path) as stream:
        torch.save({"made_from": dict(made_from), "state": dict(state)}, stream)


def read_checkpoint(path: Path, made_from: Mapping[str, Any], device: torch.device) -> dict[str, Any] | None:
    """Read where a training stood; None when it has not begun.

    Raises BoxpaintError when the file is of another training, naming what differs, or cannot be read.
    """
    if not path.exists():
        return None
    advice = "remove it, or choose another --out"
    try:
        with translate_os_errors(path):
            content = torch.load(path, map_location=device, weights_only=True)
        before, state = dict(content["made_from"]), dict(content["state"])
    except NO_CHECKPOINT as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BoxpaintError(f"{path} cannot be read ({reason}); {advice}") from None
    differing = sorted(key for key in {*before, *made_from} if before.get(key) != made_from.get(key))
    if differing:
        raise BoxpaintError(f"{path} is of another training (it differs in {', '.join(differing)}); {advice}")
    return state


class Checkpoints:
    """When a training is kept on disk: where its loop says so, by the clock, and before a signal ends it.

    Use as a context manager around the steps: in it, SIGINT and SIGTERM wait for the end of a step. `save` writes where
    the training stands; without it nothing is kept, and a signal ends the training at once.
    """

    def __init__(self, save: Callable[[], None] | None):
        self._save = save
        self._stop = StopRequest("after this step, which is kept")
        self._listening = contextlib.ExitStack()
        self._next = time.monotonic() + SECONDS_BETWEEN_CHECKPOINTS

    def __enter__(self) -> Checkpoints:
        if self._save is not None:
            self._listening.enter_context(self._stop.listening())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()

    def after_step(self, *, is_due: bool = False) -> None:
        """Keep the training if that is due; raises Stopped, when it is kept, if a signal has come."""
        if self._save is None:
            return
        begun = time.monotonic()
        if is_due or self._stop() or begun >= self._next:
            self._save()
            now = time.monotonic()
            self._next = now + max(SECONDS_BETWEEN_CHECKPOINTS, _BETWEEN_PER_WRITING * (now - begun))
        self._stop.check()
