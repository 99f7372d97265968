"""The one training loop: schedule, averaged weights, score, early stop, checkpoint, going on after a stop.

Whoever trains a model gives `train` its players (modules, an optimizer and the loss of a step) and a budget of steps or
minutes. What step k learns from has to be a function of (seed, k): a training that was stopped and goes on then ends
with the very weights of one that was not.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from generator.foundation.device import is_out_of_memory
from generator.foundation.errors import ModelError, RunMismatchError, reason_of
from generator.foundation.history import History, Listener
from generator.foundation.run_folder import list_differences
from generator.foundation.seeds import derive_seed
from generator.foundation.stopping import Stopped, StopRequest
from generator.foundation.storage import atomic_writer, translate_os_errors

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Model = TypeVar("Model", bound=nn.Module)
SECONDS_BETWEEN_CHECKPOINTS = 120.0
# Where a checkpoint takes long to write, they are farther apart: so many times as long as that.
_BETWEEN_PER_WRITING = 20
# What torch.load and load_state_dict raise depends on where a file is torn, and of what it is.
TORN = (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError, AttributeError)


class Budget:
    """How long to train: so many steps, or minutes by the clock; those of a call that was stopped count.

    `done` steps and `seconds` are what is spent.
    """

    def __init__(self, *, steps: int | None = None, minutes: float | None = None):
        self.steps = steps
        self.minutes = minutes
        self.done = 0
        self.seconds = 0.0

    @property
    def progress(self) -> float:
        """Share that is spent, 1 when it is over."""
        by_steps = 0.0 if self.steps is None else self.done / self.steps if self.done < self.steps else 1.0
        total = math.inf if self.minutes is None else 60 * self.minutes
        return max(by_steps, self.seconds / total if self.seconds < total else 1.0)


@dataclass(kw_only=True, eq=False)
class Player:
    """Modules that one optimizer moves to lower one loss. A VAE has two: itself and its critic.

    `loss` is asked for the loss of step k, from 0; None: there is nothing to learn from in it. A step in parts calls
    `backward` itself for all of them but the last. The weights that are
    scored and kept are a moving average with `ema_decay`, and hold `start_share` of those that the modules have now.
    """

    modules: Mapping[str, nn.Module]
    loss: Callable[[int], torch.Tensor | None]
    optimizer: torch.optim.Optimizer
    scheduler: LRScheduler
    max_gradient_norm: float | None = None
    ema_decay: float | None = None
    start_share: float = 0.0
    _averaged: dict[str, torch.Tensor] = field(init=False)
    _start: dict[str, torch.Tensor] = field(init=False)

    def __post_init__(self) -> None:
        tensors = self.tensors()
        self._averaged = {} if self.ema_decay is None else {name: value.clone() for name, value in tensors.items()}
        self._start = _copied(tensors) if self.start_share else {}

    def step(self, number: int) -> float:
        """Learn from step `number`; returns its loss, NaN where there was nothing to learn from."""
        for module in self.modules.values():
            module.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss, value = self.loss(number), math.nan
        if loss is not None:
            value = finite_loss(loss, self.optimizer.param_groups[0]["initial_lr"])
            loss.backward()
            if self.max_gradient_norm is not None:
                parameters = [each for module in self.modules.values() for each in module.parameters()]
                nn.utils.clip_grad_norm_(parameters, self.max_gradient_norm)
        self.optimizer.step()
        self.scheduler.step()
        if self.ema_decay is not None:
            self._average(number, self.ema_decay)
        return value

    @property
    def keeps_others(self) -> bool:
        """Whether other weights are scored and kept than those that are trained."""
        return bool(self._averaged or self._start)

    def tensors(self) -> dict[str, torch.Tensor]:
        """All that training changes, by name: weights that ask for a gradient, and buffers."""
        return {**self._weights(), **self._buffers()}

    def kept(self) -> dict[str, torch.Tensor]:
        """Copy the weights as they would be scored and kept now."""
        weights = _copied(self._averaged or self.tensors())
        for name, start in self._start.items():
            if start.is_floating_point():  # counters have no share
                weights[name].lerp_(start, self.start_share)
        return weights

    @torch.no_grad()
    def load(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take weights, as `kept` gives them. Raises ValueError for those of another model."""
        tensors = self.tensors()
        if _shapes(tensors) != _shapes(weights):
            raise ValueError("it holds the weights of another model")
        for name, value in tensors.items():
            value.copy_(weights[name])

    def state(self) -> dict[str, Any]:
        """Everything to go on from; what does not change, as frozen weights under an adapter, is left out."""
        return {
            "weights": self.tensors(),
            "averaged": self._averaged,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.load(state["weights"])
        self._averaged = dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])

    def _weights(self) -> dict[str, torch.Tensor]:
        return {
            f"{name}.{key}": value.detach()
            for name, module in self.modules.items()
            for key, value in module.named_parameters()
            if value.requires_grad
        }

    def _buffers(self) -> dict[str, torch.Tensor]:
        return {f"{n}.{key}": value for n, module in self.modules.items() for key, value in module.named_buffers()}

    @torch.no_grad()
    def _average(self, number: int, highest_decay: float) -> None:
        # Young averages follow quickly: Karras et al. 2022, arXiv 2206.00364, appendix F.1.
        decay = min(highest_decay, (1 + number) / (10 + number))
        for name, value in self._weights().items():
            self._averaged[name].lerp_(value, 1 - decay)
        for name, value in self._buffers().items():
            self._averaged[name].copy_(value)


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}


def _copied(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in tensors.items()}


@contextlib.contextmanager
def _as_kept(players: Sequence[Player]) -> Iterator[list[dict[str, torch.Tensor]]]:
    """Give the modules, for a while, the weights that would be kept now; yields a copy of these."""
    kept = [player.kept() for player in players]
    others = [player for player in players if player.keeps_others]
    trained = [_copied(player.tensors()) for player in others]
    for player, weights in zip(players, kept, strict=True):
        if player in others:
            player.load(weights)
    try:
        yield kept
    finally:
        for player, weights in zip(others, trained, strict=True):
            player.load(weights)


def train(
    players: Sequence[Player],
    budget: Budget,
    *,
    seed: int,
    device: torch.device,
    batch_size: int,
    position: tuple[int, ...] = (),
    score: Callable[[], float] | None = None,
    score_every: int = 1,
    patience: int | None = None,
    keep_best: bool = True,
    checkpoint: Path | None = None,
    made_from: Mapping[str, Any] | None = None,
    checkpoint_every: int | None = None,
    notes: dict[str, Any] | None = None,
    listener: Listener | None = None,
) -> History:
    """Train until the budget is spent, and leave the weights to keep in the modules, in evaluation mode.

    Of the modules as they would be kept, `score` gives a number, higher is better, after every `score_every` steps and
    the last one; the best weights are kept (`keep_best`), and after `patience` scores that are no better it is over.
    torch's random numbers of step k descend from (seed, *position, k).

    With `checkpoint` (a file), it is written every `checkpoint_every` steps, by the clock, and when SIGINT or SIGTERM
    ends the training, which waits for the end of the step in hand; the same call then goes on from it, its weights
    those of a training that was not stopped. `made_from` is
    plain data that decides the course; `notes` is plain data of the caller that is kept along, and given back in place.
    Raises RunMismatchError for a checkpoint of another training, ModelError when a loss is no number or memory runs out
    for `batch_size`, Stopped.
    """
    history, best = History(), list[dict[str, torch.Tensor]]()
    notes = {} if notes is None else notes
    made_from = made_from or {}
    state = None if checkpoint is None else read_checkpoint(checkpoint, made_from, device)
    if checkpoint is not None and state is not None:
        try:
            for player, saved in zip(players, state["players"], strict=True):
                player.load_state(saved)
            history.losses[:] = state["losses"]
            history.validations[:] = [(step, value) for step, value in state["validations"]]
            best[:] = state["best"]
            notes.update(state["notes"])
            budget.done, budget.seconds = len(history.losses), float(state["seconds"])
        except TORN as error:
            raise _unreadable(checkpoint, error) from None
    begun = time.monotonic() - budget.seconds

    def save() -> None:
        assert checkpoint is not None
        states = [player.state() for player in players]
        now = {"losses": history.losses, "validations": history.validations, "best": best, "seconds": budget.seconds}
        save_checkpoint(checkpoint, made_from, {"players": states, "notes": notes, **now})

    def is_over() -> bool:
        return budget.progress >= 1 or history.has_waited(patience)

    def is_score_due() -> bool:
        done = budget.done
        is_due = score is not None and done > 0 and (done % score_every == 0 or budget.progress >= 1)
        return is_due and (not history.validations or history.validations[-1][0] < done)

    def end_step(checkpoints: Checkpoints) -> None:
        is_best: bool | None = None
        if score is not None and is_score_due():
            with _as_kept(players) as kept:
                value = checkpoints.scored(score)
            if value is not None:
                history.validations.append((budget.done, value))
                is_best = history.best_step == budget.done
                if keep_best and is_best:
                    best[:] = kept
        is_due = checkpoint_every is not None and budget.done % checkpoint_every == 0
        checkpoints.after_step(is_due=is_due or is_over())
        if listener is not None and is_best is not None:
            listener.on_validation(*history.validations[-1], is_best=is_best)

    if listener is not None:
        listener.on_start(budget.steps or 0, budget.done)
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        deterministic(device),
        out_of_memory_explained(device, batch_size),
        Checkpoints(None if checkpoint is None else save) as checkpoints,
    ):
        if is_score_due():  # a signal came while it was scored
            end_step(checkpoints)
        while not is_over():
            torch.manual_seed(derive_seed(seed, *position, budget.done))
            losses = [player.step(budget.done) for player in players]
            history.losses.append(losses[0])
            budget.done, budget.seconds = len(history.losses), time.monotonic() - begun
            if listener is not None:
                listener.on_step(budget.done, losses[0])
            end_step(checkpoints)
    for player, weights in zip(players, best or [player.kept() for player in players], strict=True):
        player.load(weights)
        for module in player.modules.values():
            module.eval()
    return history


def warmup_cosine(step: int, steps: int, warmup: int) -> float:
    """Share of the highest learning rate at a step (from 0): up in a line, then down by a half cosine.

    Loshchilov and Hutter 2017, arXiv 1608.03983, without restarts.

    >>> [round(warmup_cosine(step, 40, 2), 2) for step in (0, 1, 2, 21, 39)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def cosine_schedule(optimizer: torch.optim.Optimizer, steps: int, warmup: int) -> LambdaLR:
    """Schedule the rate of an optimizer, which has the highest one, over so many steps: `warmup_cosine`."""
    return LambdaLR(optimizer, lambda step: warmup_cosine(step, steps, warmup))


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer; those that ask for no gradient are left out.

    Decay pulls weights to zero; a bias, or the scale of a norm, has no business there.
    """
    trained = [each for each in parameters if each.requires_grad]
    return [
        {"params": [each for each in trained if each.ndim >= 2], "weight_decay": weight_decay},
        {"params": [each for each in trained if each.ndim < 2], "weight_decay": 0.0},
    ]


def to_channels_last(model: Model, device: torch.device) -> Model:
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
def one_thread() -> Iterator[None]:
    """Compute in one thread: of small models more gain little, wait for each other, and decide the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def out_of_memory_explained(device: torch.device, batch_size: int) -> Iterator[None]:
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


def finite_loss(loss: torch.Tensor, learning_rate: float) -> float:
    """The loss as a number; raises ModelError when the training has broken down."""
    value = float(loss.detach())
    if not math.isfinite(value):
        advice = f"try a --learning-rate below {learning_rate:g}"
        raise ModelError(f"the loss became {value}: the training has broken down; {advice}")
    return value


def save_checkpoint(path: Path, made_from: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write where a training stands, whole or not at all. Raises StorageError."""
    with atomic_writer(path) as stream:
        try:
            torch.save({"made_from": dict(made_from), "state": dict(state)}, stream)
        except RuntimeError as error:  # torch closes its archive, which fails again, and hides why
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def read_checkpoint(path: Path, made_from: Mapping[str, Any], device: torch.device) -> dict[str, Any] | None:
    """Read where a training stood; None when it has not begun.

    Raises RunMismatchError when the file is of another training, naming what differs, or cannot be read.
    """
    if not path.exists():
        return None
    try:
        with translate_os_errors(path):
            content = torch.load(path, map_location=device, weights_only=True)
        before, state = dict(content["made_from"]), dict(content["state"])
    except TORN as error:
        raise _unreadable(path, error) from None
    if differences := list_differences(before, dict(made_from)):
        raise RunMismatchError(f"{path} is of another training; {_ADVICE}. The differences:", differences)
    return state


_ADVICE = "remove it, or choose another --out"


def _unreadable(path: Path, error: Exception) -> RunMismatchError:
    return RunMismatchError(f"{path} cannot be read ({reason_of(error)}); {_ADVICE}")


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

    def scored(self, score: Callable[[], float]) -> float | None:
        """Ask for a score; None where a signal has come, which does not wait for its end."""
        if self._stop():
            return None
        try:
            with self._stop.at_once():
                return score()
        except Stopped:
            if not self._stop():
                raise
            return None
