from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from boxpaint import progress, time_left
from boxpaint.progress import RunProgress
from boxpaint.time_left import TimeLeft, in_words
from boxpaint.training_progress import FitProgress


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The clock, in seconds."""
    clock = [0.0]
    for module in (progress, time_left):
        monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    yield clock


def test_a_slow_first_step_does_not_count(now: list[float]) -> None:
    left, said = TimeLeft(100), []
    for step, second in ((1, 60.0), (2, 61.0), (3, 62.0), (13, 72.0)):
        now[0] = second
        said.append(left.after(step))
    assert said == [None, None, 97, 87]


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (59.4, "59 s"), (100, "2 min"), (9000, "2.5 h")])
def test_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_a_training_says_soon_and_once_how_long_it_takes(now: list[float]) -> None:
    stream = io.StringIO()
    with FitProgress(Console(file=stream, width=100)) as bar:
        bar.on_start(200, 0)
        for step in range(1, 25):
            now[0] += 60 if step == 1 else 3
            bar.on_step(step, 1.0)
    assert stream.getvalue().splitlines() == [
        "about 10 min for what is left",
        "step 10/200: loss 1.000, 10 min left",
        "step 20/200: loss 1.000, 9 min left",
    ]


def test_painting_counts_neither_loading_nor_the_first_chunk_of_several_alone(now: list[float]) -> None:
    """Two processes paint chunks of four in 40 s each, after 60 s of loading: 40 scenes take 200 s."""
    stream = io.StringIO()
    with RunProgress(Console(file=stream, width=100)) as bar:
        bar.on_start(40, 0)
        now[0] = 60
        bar.on_background(4)
        bar.on_background(4)
        now[0] = 100
        bar.on_scene(4)
        bar.on_scene(4)
    # 4 scenes and half of 4 more in 40 s; then all 8.
    assert [line for line in stream.getvalue().splitlines() if line.startswith("scene")] == [
        "scene 4/40, 9.0 a minute, 4 min left",
        "scene 8/40, 12.0 a minute, 3 min left",
    ]
