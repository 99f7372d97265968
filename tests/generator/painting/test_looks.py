"""What the verifier is shown is what the last pass leaves, and that pass is not made twice for nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from generator.config import Config
from generator.foundation.geometry import Box
from generator.labels.checks import measure_contrast
from generator.labels.verifier import Verifier
from generator.painting.chunk import paint_chunk
from generator.painting.jobs import Painting, RedrawJob
from generator.painting.painter import Painter
from generator.painting.stopwatch import Stopwatch
from generator.plan import Placement
from generator.types import Scene
from tests.generator.painting.stand_ins import DiscPainter, ToldVerifier, config_with, in_turn, place, scene

MIDDLE = Box.from_xywh(34, 18, 28, 28)


def paint(config: Config, verifier: Verifier, placements: Sequence[Placement], painter: Painter) -> Scene:
    (painted,) = paint_chunk([scene(placements=placements)], painter, config, verifier=verifier, watch=Stopwatch())
    return painted


class CountingPainter(DiscPainter):
    """Says how many pictures were drawn over."""

    redrawn = 0

    def redraw(self, jobs: Sequence[RedrawJob], level: float) -> list[Painting]:
        """Count, and draw."""
        self.redrawn += len(jobs)
        return super().redraw(jobs, level)


@pytest.mark.parametrize(("margins", "redrawn"), [((0.5,), 1), ((0.2, 0.5), 2)])
def test_attempts_are_looked_at_as_the_last_pass_leaves_them(
    tiny_config: dict[str, object], margins: tuple[float, ...], redrawn: int
) -> None:
    config = config_with(
        tiny_config,
        painting={"harmonize_strength": 0.2, "sensor_noise": 2.0},
        labels={"max_edge_contact": 1.0, "min_margin": 0.3},
    )
    verifier = ToldVerifier(margin=in_turn(*margins))
    painter = CountingPainter(config)
    painted = paint(config, verifier, [place(0, MIDDLE)], painter)
    (item,) = painted.objects
    assert [attempt.accepted for attempt in item.attempts] == [margin >= 0.3 for margin in margins]
    # What the last attempt was accepted by is the finished picture, to the bit: it is not drawn a second time.
    assert np.array_equal(verifier.views[-2].picture, painted.image[item.crop.slices])
    assert painter.redrawn == redrawn


def test_contrast_is_that_of_the_finished_picture(tiny_config: dict[str, object]) -> None:
    config = config_with(
        tiny_config, painting={"harmonize_strength": 0.5, "sensor_noise": 0}, labels={"max_edge_contact": 1.0}
    )
    verifier = ToldVerifier()
    item = paint(config, verifier, [place(0, MIDDLE)], DiscPainter(config)).objects[0]
    (contrast,) = [each for each in item.attempts[0].verdicts if each.check == "contrast"]
    assert item.label is not None
    mask = np.zeros((item.crop.height, item.crop.width), bool)
    mask[item.label.painted_box.shifted(-item.crop.x_min, -item.crop.y_min).slices] = item.label.mask
    assert contrast.score == pytest.approx(measure_contrast(verifier.views[0].picture, mask), abs=1e-4)
    too_much = config.model_copy(update={"labels": config.labels.model_copy(update={"min_contrast": 100.0})})
    assert (
        paint(too_much, ToldVerifier(), [place(0, MIDDLE)], DiscPainter(config))
        .objects[0]
        .dropped.startswith("hardly stands out")
    )


def test_a_picture_that_is_not_as_it_was_seen_last_is_finished_anew(tiny_config: dict[str, object]) -> None:
    config = config_with(
        tiny_config,
        painting={"harmonize_strength": 0.2, "sensor_noise": 2.0},
        labels={"max_edge_contact": 1.0, "min_margin": 0.3, "max_attempts": 1},
    )
    bare, dropped = (
        paint(config, ToldVerifier(margin=in_turn(0.2)), placements, DiscPainter(config))
        for placements in ([], [place(0, MIDDLE)])
    )
    assert dropped.objects[0].label is None
    assert np.array_equal(bare.image, dropped.image)
