from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

from detection import optimisation
from detection.optimisation import (
    Checkpoints,
    decayed_groups,
    finite,
    in_smaller_batches,
    memory_explained,
    rate_share,
    read_checkpoint,
    save_checkpoint,
)
from generator.foundation.errors import BoxpaintError, ModelError
from generator.foundation.stopping import Stopped

CPU = torch.device("cpu")


def test_the_rate_rises_and_falls() -> None:
    assert [round(rate_share(step, 40, 2), 2) for step in (0, 1, 2, 21, 39)] == [0.5, 1.0, 1.0, 0.5, 0.0]
    assert rate_share(0, 1, 1) == rate_share(0, 1, 0) == 1.0


def test_biases_norms_and_frozen_weights_do_not_decay() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    model[2].requires_grad_(False)
    decayed, free = decayed_groups(model.parameters(), 0.1)
    assert [tuple(each.shape) for each in decayed["params"]] == [(2, 3)]
    assert decayed["weight_decay"] == 0.1
    assert [tuple(each.shape) for each in free["params"]] == [(2,), (2,), (2,)]
    assert free["weight_decay"] == 0.0


def test_a_broken_loss_is_said() -> None:
    assert finite(torch.tensor(0.5), 0.1) == 0.5
    with pytest.raises(ModelError, match=r"the loss became nan.*below 0\.1"):
        finite(torch.tensor(float("nan")), 0.1)


@pytest.mark.parametrize(
    ("device", "batch_size", "advice"),
    [("cuda", 4, "--batch-size"), ("cpu", 4, "--batch-size"), ("cuda", 1, "--device cpu"), ("cpu", 1, "smaller model")],
)
def test_advice_where_memory_runs_out(device: str, batch_size: int, advice: str) -> None:
    with pytest.raises(ModelError, match=advice), memory_explained(torch.device(device), batch_size):
        raise MemoryError


def test_batches_are_halved_where_memory_runs_out() -> None:
    asked: list[list[int]] = []

    def answer(batch: Sequence[int]) -> list[int]:
        asked.append([*batch])
        if len(batch) > 2:
            raise RuntimeError("CUDA out of memory")
        if 9 in batch:
            raise RuntimeError("another fault" if len(batch) > 1 else "out of memory")
        return [-each for each in batch]

    assert in_smaller_batches(answer, [1, 2, 3, 4, 5]) == [-1, -2, -3, -4, -5]
    assert asked == [[1, 2, 3, 4, 5], [1, 2], [3, 4, 5], [3], [4, 5]]
    for batch, words in (([8, 9], "another fault"), ([9], "out of memory")):
        with pytest.raises(RuntimeError, match=words):
            in_smaller_batches(answer, batch)


def test_a_checkpoint_comes_back_and_only_to_its_own_training(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    assert read_checkpoint(path, {"seed": 1}, CPU) is None
    save_checkpoint(path, {"seed": 1}, {"step": 3, "weights": {"a": torch.ones(2)}})
    state = read_checkpoint(path, {"seed": 1}, CPU)
    assert state is not None
    assert state["step"] == 3
    assert torch.equal(state["weights"]["a"], torch.ones(2))
    with pytest.raises(BoxpaintError, match="differs in seed"):
        read_checkpoint(path, {"seed": 2}, CPU)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(BoxpaintError, match="cannot be read"):
        read_checkpoint(path, {"seed": 1}, CPU)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_training_after_its_step_which_is_kept(number: signal.Signals) -> None:
    kept, step = list[int](), 0
    with pytest.raises(Stopped) as end, Checkpoints(lambda: kept.append(step)) as checkpoints:
        for step in range(1, 9):
            if step == 5:
                os.kill(os.getpid(), number)
            checkpoints.after_step(is_due=step % 3 == 0)
    assert kept == [3, 5]
    assert end.value.number == number


def test_a_training_is_kept_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, step, seconds = list[int](), 0, iter(range(0, 10_000, 50))
    monkeypatch.setattr(optimisation.time, "monotonic", lambda: float(next(seconds)))
    with Checkpoints(lambda: kept.append(step)) as checkpoints:
        while step < 30:
            step += 1
            checkpoints.after_step()
    # Begun at 0 s, 50 s a look: due at 120 s, kept from 150 to 200 s, and due again 1000 s later.
    assert kept == [3, 23]


def test_without_a_place_to_keep_it_a_signal_ends_a_training_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), Checkpoints(None):
        os.kill(os.getpid(), signal.SIGINT)
