"""What work looks like while it is done: bars in a terminal, lines elsewhere, and how long is left."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from boxpaint.cli.experiment_progress import ExperimentProgress
from boxpaint.cli.paint_progress import RunProgress
from boxpaint.cli.progress import Bar, FitProgress, TimeLeft, in_words
from detection.experiment.jobs import Job, Painting


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The clock, in seconds."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
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


def test_without_a_terminal_it_says_that_it_paints_before_the_first_scene_is_there() -> None:
    stream = io.StringIO()
    with RunProgress(Console(file=stream, width=100)) as progress:
        progress.on_start(8, 0)
        progress.on_background(1)
        progress.on_object(2)  # not a line for each
        assert stream.getvalue().splitlines() == [
            "loading the models to paint 8 scenes",
            "painting: backgrounds 1, objects 0 so far",
        ]
        progress.on_scene(1)
    assert stream.getvalue().splitlines()[-1].startswith("scene 1/8, ")


def trained(console: Console, *, steps: int, finished: int = 0) -> None:
    with FitProgress(console) as progress:
        progress.on_start(steps, finished)
        for step in range(finished + 1, steps + 1):
            progress.on_step(step, float(step))
        progress.on_validation(steps, 0.5, is_best=True)


def test_lines_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    trained(Console(file=stream, width=100), steps=40, finished=34)
    # The mean of the losses that were seen: 35 and 36, then 35 to 38, then 35 to 40.
    assert stream.getvalue().splitlines() == [
        "34 of at most 40 steps are trained already",
        "step 36/40: loss 35.500",
        "step 38/40: loss 36.500",
        "step 40/40: loss 37.500",
        "step 40/40: AP 0.500 on the validation pictures, the best so far",
    ]


def test_a_bar_in_a_terminal() -> None:
    stream = io.StringIO()
    trained(Console(file=stream, width=100, force_terminal=True, highlight=False), steps=3)
    text = stream.getvalue()
    assert "3/3" in text
    assert "loss 2.000" in text
    assert "step 3/3: AP 0.500" in text
    assert "step 1/3" not in text


def test_a_bar_that_was_never_shown() -> None:
    stream = io.StringIO()
    bar = Bar(Console(file=stream))
    bar.move("x", 1, 2)
    bar.start()
    bar.move("x", 2, 2)
    bar.stop()
    assert stream.getvalue() == ""


def test_the_time_left_counts_from_the_first_step_and_is_said_once(now: list[float]) -> None:
    stream, job = io.StringIO(), Job(kind="real", number=3, painted=0, subset=0)
    with ExperimentProgress(Console(file=stream, width=100)) as progress:
        progress.on_jobs([job], 100, 0)
        for step in (1, 2, 3, 4, 51):
            now[0] += 600 if step == 1 else 60 * (step == 51) + 1
            progress.on_job_step(job, step, 0.5)
        progress.on_job_end(job, 51, 0.5)
    said = stream.getvalue().splitlines()
    assert said[0] == "trainings to do: 1, 100 steps in all"
    assert said[1:] == ["about 2 min for what is left", "real-real3-painted0-seed0: mAP 50.0; 0 to do, 1 min left"]


def test_painters_are_told_one_after_the_other_and_what_was_there_before_says_nothing_of_the_rest(
    now: list[float],
) -> None:
    stream = io.StringIO()
    with ExperimentProgress(Console(file=stream, width=100)) as progress:
        for number in range(3):
            progress.on_painting(Painting(painter="tuned", scenes="painted", number=5, subset=number), number, 3)
            if number == 1:  # the first is there already
                for step in range(1, 21):
                    progress.on_tuning(step, 20, 0.25)
                now[0] += 600
        progress.on_paintings_end(3)
    said = stream.getvalue().splitlines()
    assert said[:2] == [f"painted images {number} of 3: tuned, 5 real images, subset {number - 1}" for number in (1, 2)]
    assert said[2] == "tuning the painter: step 2/20, loss 0.250"
    assert len(said) == 2 + 10 + 2
    assert said[-2].endswith("subset 2; about 10 min for what is left")
