import io

from rich.console import Console

from boxpaint.training_progress import FitProgress, StepBar


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
    with StepBar(Console(file=stream)) as bar:
        bar.move("x", 1, 2)
        bar.start()
        bar.move("x", 2, 2)
    assert stream.getvalue() == ""
