from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from torch import nn

from generator.foundation import training
from generator.foundation.errors import BoxpaintError, ModelError, RunMismatchError, StorageError
from generator.foundation.stopping import Stopped
from generator.foundation.training import (
    Budget,
    Checkpoints,
    History,
    Listener,
    Player,
    cosine_schedule,
    decay_groups,
    in_smaller_batches,
    out_of_memory_explained,
    train,
    warmup_cosine,
)

CPU = torch.device("cpu")
STEPS = 8


class Fitting:
    """A layer that learns to double numbers, with dropout, and a critic that never learns anything."""

    def __init__(self, *, ema_decay: float | None = None, start_share: float = 0.0, steps: int = STEPS) -> None:
        torch.manual_seed(0)
        self.layer, self.critic = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.2)), nn.Linear(4, 1)
        self.budget = Budget(steps=steps)
        self.steps: list[int] = []
        self.before_step: Callable[[int], None] = lambda _: None
        optimizers = [torch.optim.AdamW(module.parameters(), 0.1) for module in (self.layer, self.critic)]
        self.players = [
            Player(
                modules={"layer": self.layer},
                loss=self.loss,
                optimizer=optimizers[0],
                scheduler=cosine_schedule(optimizers[0], steps, 2),
                max_gradient_norm=1.0,
                ema_decay=ema_decay,
                start_share=start_share,
            ),
            Player(
                modules={"critic": self.critic},
                loss=lambda _: None,
                optimizer=optimizers[1],
                scheduler=cosine_schedule(optimizers[1], steps, 2),
            ),
        ]

    def loss(self, step: int) -> torch.Tensor:
        self.before_step(step)
        self.steps.append(step)
        numbers = torch.randn(8, 4)
        return ((self.layer(numbers) - 2 * numbers) ** 2).mean()

    def run(self, **settings: Any) -> History:
        return train(self.players, self.budget, seed=3, device=CPU, batch_size=8, **settings)

    def weights(self) -> list[float]:
        return [*self.layer.state_dict()["0.weight"].flatten().tolist(), *self.layer[1].running_mean.tolist()]


def test_it_learns_and_a_seed_gives_the_same_weights() -> None:
    first, second = Fitting(), Fitting()
    critic = first.critic.weight.clone()
    torch.manual_seed(1)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    history = first.run()
    assert torch.rand(1) == drawn  # the random numbers of others go on as they were
    assert first.steps == [*range(STEPS)]
    assert history.losses[-1] < history.losses[0]
    assert history.best_step == STEPS
    assert not first.layer.training
    assert second.run() == history
    assert first.weights() == second.weights()
    assert torch.equal(first.critic.weight, critic)


@pytest.mark.parametrize("settings", [{}, {"ema_decay": 0.9}, {"start_share": 0.5}])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_the_step_in_hand_and_going_on_gives_what_no_stop_gives(
    tmp_path: Path, settings: dict[str, float], number: signal.Signals
) -> None:
    path, scores = tmp_path / "c.pt", [0.2, 0.5, 0.3, 0.4]
    whole = Fitting(**settings)
    asked = iter(scores)
    history = whole.run(score=lambda: next(asked), score_every=2, notes={"told": 1})
    stopped = Fitting(**settings)
    stopped.before_step = lambda step: os.kill(os.getpid(), number) if step == 4 else None
    asked = iter(scores)
    with pytest.raises(Stopped) as end:
        stopped.run(score=lambda: next(asked), score_every=2, checkpoint=path, made_from={"a": 1}, notes={"told": 1})
    assert end.value.number == number
    later, notes = Fitting(**settings), dict[str, int]()
    again = later.run(score=lambda: next(asked), score_every=2, checkpoint=path, made_from={"a": 1}, notes=notes)
    assert later.steps == [5, 6, 7]
    assert again == history
    assert again.best_step == 4
    assert notes == {"told": 1}
    assert later.weights() == whole.weights()
    idle = Fitting(**settings)  # as after a kill that came before the result was saved
    assert idle.run(score=lambda: 0.0, score_every=2, checkpoint=path, made_from={"a": 1}) == history
    assert idle.steps == []
    assert idle.weights() == whole.weights()


def test_a_signal_does_not_wait_for_the_end_of_a_score(tmp_path: Path) -> None:
    def interrupted() -> float:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal was not met")

    path = tmp_path / "c.pt"
    whole, stopped, later = (Fitting(ema_decay=0.9) for _ in range(3))
    history = whole.run(score=lambda: 1.0, score_every=4)
    with pytest.raises(Stopped):
        stopped.run(score=interrupted, score_every=4, checkpoint=path)
    assert later.run(score=lambda: 1.0, score_every=4, checkpoint=path) == history
    assert later.steps == [4, 5, 6, 7]
    assert later.weights() == whole.weights()


def test_averaged_weights_and_a_share_of_the_first_are_kept() -> None:
    plain, careful, averaged = Fitting(steps=1), Fitting(steps=1, start_share=0.25), Fitting(steps=1, ema_decay=0.999)
    before = careful.layer[0].weight.detach().clone()
    for each in (plain, careful, averaged):
        each.run()
    after = plain.layer[0].weight
    torch.testing.assert_close(careful.layer[0].weight, 0.25 * before + 0.75 * after)
    torch.testing.assert_close(averaged.layer[0].weight, 0.1 * before + 0.9 * after)  # a young average follows quickly
    assert torch.equal(averaged.layer[1].running_mean, plain.layer[1].running_mean)


def test_what_is_scored_is_what_would_be_kept_and_training_goes_on_from_what_was_trained() -> None:
    plain, scored = Fitting(ema_decay=0.9), Fitting(ema_decay=0.9)
    plain.run()
    seen: list[list[float]] = []
    scored.run(score=lambda: seen.append(scored.weights()) or len(seen))  # type: ignore[func-returns-value]
    assert scored.weights() == plain.weights() == seen[-1]


@pytest.mark.parametrize(
    ("scores", "patience", "steps", "best"),
    [
        ((0.5, 0.6, 0.7, 0.8), 1, 8, 8),
        ((0.6, 0.6), 1, 4, 2),
        ((0.6, 0.5, 0.7, 0.1), 2, 8, 6),
        ((0.6, 0.5, 0.4), 2, 6, 2),
        ((0.6, 0.5, 0.4, 0.3), None, 8, 2),
    ],
)
def test_patience_ends_it_and_the_first_of_the_best_is_kept(
    scores: tuple[float, ...], patience: int | None, steps: int, best: int
) -> None:
    class Watcher(Listener):
        def on_validation(self, step: int, score: float, /, *, is_best: bool) -> None:
            told.append((step, score, is_best))

    told: list[tuple[int, float, bool]] = []
    fitting, last = Fitting(), Fitting()
    history = fitting.run(score=iter(scores).__next__, score_every=2, patience=patience, listener=Watcher())
    assert (len(history.losses), history.best_step) == (steps, best)
    assert told == [
        (step, score, score > max(scores[:n], default=0)) for n, (step, score) in enumerate(history.validations)
    ]
    last.run(score=iter(scores).__next__, score_every=2, patience=patience, keep_best=False)
    assert (fitting.weights() == last.weights()) == (best == steps)


def test_the_clock_ends_it_and_time_before_a_stop_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def seconds(step: int) -> None:
        now[0] += 10
        if step == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(training.time, "monotonic", lambda: now[0])
    stopped, later = Fitting(), Fitting()
    for each in (stopped, later):
        each.budget = Budget(minutes=1)
    stopped.before_step, later.before_step = seconds, lambda _: now.__setitem__(0, now[0] + 10)
    with pytest.raises(KeyboardInterrupt):
        stopped.run(checkpoint=tmp_path / "c.pt", checkpoint_every=2)
    assert stopped.budget.progress == pytest.approx(1 / 3)
    later.run(checkpoint=tmp_path / "c.pt", checkpoint_every=2)
    assert later.steps == [2, 3, 4, 5]
    assert later.budget.progress == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"of another training; remove it, or choose another --out\. .*\n  data\.seed: 1 before, 2 now"),
        (b"torn", r"c\.pt cannot be read \(.*\); remove it, or choose another --out"),
        ({"made_from": {"data": {"seed": 2}}, "state": {}}, r"c\.pt cannot be read \('players'\)"),
        ({"identity": "of before"}, r"c\.pt cannot be read \('made_from'\)"),
    ],
)
def test_a_checkpoint_of_another_training_or_damaged_is_refused_and_stays(
    tmp_path: Path, content: object, message: str
) -> None:
    path = tmp_path / "c.pt"
    Fitting().run(checkpoint=path, made_from={"data": {"seed": 1}})
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    before = path.read_bytes()
    with pytest.raises(RunMismatchError, match=message):
        Fitting().run(checkpoint=path, made_from={"data": {"seed": 2}})
    assert path.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_a_full_disk_is_said_and_the_last_checkpoint_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"before")

    def full(descriptor: int, mode: str) -> BinaryIO:
        os.close(descriptor)
        return Path("/dev/full").open("wb")

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(StorageError, match="the disk is full; free some space and run the same command again"):
        training.save_checkpoint(path, {}, {"weights": torch.zeros(100_000)})
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == b"before"


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    Fitting().run(checkpoint=tmp_path / "c.pt")
    other = Fitting()
    other.players[1].modules = {"critic": nn.Linear(5, 1)}
    with pytest.raises(BoxpaintError, match=r"cannot be read \(it holds the weights of another model"):
        other.run(checkpoint=tmp_path / "c.pt")


def test_what_does_not_change_is_not_kept(tmp_path: Path) -> None:
    fitting = Fitting()
    fitting.layer[0].requires_grad_(False)
    fitting.run(checkpoint=tmp_path / "c.pt")
    player = torch.load(tmp_path / "c.pt", weights_only=True)["state"]["players"][0]
    assert sorted(name for name in player["weights"] if "running" not in name and "tracked" not in name) == [
        "layer.1.bias",
        "layer.1.weight",
    ]


def test_the_rate_rises_and_falls() -> None:
    assert warmup_cosine(0, 1, 1) == warmup_cosine(0, 1, 0) == 1.0
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.5)
    schedule, rates = cosine_schedule(optimizer, 40, 2), []
    for _ in range(40):
        rates.append(round(optimizer.param_groups[0]["lr"], 2))
        optimizer.step()
        schedule.step()
    assert [rates[step] for step in (0, 1, 2, 21, 39)] == [0.25, 0.5, 0.5, 0.25, 0.0]


def test_biases_norms_and_frozen_weights_do_not_decay() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    model[2].requires_grad_(False)
    decayed, free = decay_groups(model.parameters(), 0.1)
    assert [tuple(each.shape) for each in decayed["params"]] == [(2, 3)]
    assert decayed["weight_decay"] == 0.1
    assert [tuple(each.shape) for each in free["params"]] == [(2,), (2,), (2,)]
    assert free["weight_decay"] == 0.0


def test_a_broken_loss_is_said() -> None:
    fitting = Fitting()
    nn.init.constant_(fitting.layer[1].bias, float("nan"))
    with pytest.raises(ModelError, match=r"the loss became nan: .*try a --learning-rate below 0\.1"):
        fitting.run()


@pytest.mark.parametrize(
    ("device", "batch_size", "advice"),
    [("cuda", 4, "--batch-size"), ("cpu", 4, "--batch-size"), ("cuda", 1, "--device cpu"), ("cpu", 1, "smaller model")],
)
def test_advice_where_memory_runs_out(device: str, batch_size: int, advice: str) -> None:
    with pytest.raises(ModelError, match=advice), out_of_memory_explained(torch.device(device), batch_size):
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


def test_a_training_is_kept_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, step, seconds = list[int](), 0, iter(range(0, 10_000, 50))
    monkeypatch.setattr(training.time, "monotonic", lambda: float(next(seconds)))
    with Checkpoints(lambda: kept.append(step)) as checkpoints:
        while step < 30:
            step += 1
            checkpoints.after_step()
    # Begun at 0 s, 50 s a look: due at 120 s, kept from 150 to 200 s, and due again 1000 s later.
    assert kept == [3, 23]


def test_without_a_place_to_keep_it_a_signal_ends_a_training_at_once() -> None:
    fitting = Fitting()
    fitting.before_step = lambda step: os.kill(os.getpid(), signal.SIGINT) if step == 2 else None
    with pytest.raises(KeyboardInterrupt):
        fitting.run(score=lambda: 0.0)
    assert fitting.steps == [0, 1]
