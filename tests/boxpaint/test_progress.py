from __future__ import annotations

import io

from rich.console import Console

from boxpaint.progress import RunProgress


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
