"""Which attempt at an object stays: discs on real backgrounds, and a verifier that answers as it is told."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from generator.config import Config
from generator.dataset.review import Rejected
from generator.foundation.geometry import Box
from generator.foundation.seeds import derive_seed
from generator.labels.verifier import Verifier
from generator.painting.chunk import paint_chunk
from generator.painting.painter import InpaintJob, Painter, Painting
from generator.plan import Placement, ScenePlan
from generator.types import Attempt, PaintedObject, Scene
from tests.generator.painting.stand_ins import (
    DiscPainter,
    ToldVerifier,
    config_with,
    in_turn,
    place,
    scene,
    seeded_margin,
    with_config,
)

MIDDLE = Box.from_xywh(34, 18, 28, 28)
# Left and right of a wide canvas: crops that do not touch, so that both are painted in one round.
LEFT, RIGHT = Box.from_xywh(20, 20, 24, 24), Box.from_xywh(148, 20, 24, 24)


def config_of(tiny_config: Mapping[str, object], **labels: object) -> Config:
    """No finishing, so that the picture is what was stitched; of the checks of pixels nothing fails."""
    return config_with(
        tiny_config,
        painting={"harmonize_strength": 0, "sensor_noise": 0},
        labels={"max_edge_contact": 1.0, "min_margin": 0.3, "max_unlabelled": 0.9, **labels},
    )


@functools.cache
def painter_of(background: str, inpaint: str) -> DiscPainter:
    """One for all tests: what it does depends on nothing that they change."""
    models = {"background": {"folder": background}, "inpaint": {"folder": inpaint}}
    return DiscPainter(Config.load(bundle="sd21", batch_size=2, painting={"steps": 2}, models=models))


def paint(
    config: Config,
    verifier: Verifier | None,
    *plans: ScenePlan,
    rejected: Mapping[int, Rejected] | None = None,
    painter: Painter | None = None,
) -> list[Scene]:
    models = config.models
    assert models.background is not None
    return paint_chunk(
        plans,
        painter or with_config(painter_of(str(models.background.folder), str(models.inpaint.folder)), config),
        verifier,
        rejected=rejected,
    )


def paint_one(
    config: Config, verifier: Verifier | None, rejected: Mapping[int, Rejected] | None = None
) -> tuple[Scene, PaintedObject]:
    (painted,) = paint(config, verifier, scene(placements=[place(0, MIDDLE)]), rejected=rejected)
    return painted, painted.objects[0]


def failed(attempt: Attempt) -> list[str]:
    return [verdict.check for verdict in attempt.verdicts if not verdict.passed]


def score(attempt: Attempt, check: str) -> float:
    (found,) = [verdict.score for verdict in attempt.verdicts if verdict.check == check]
    return found


@pytest.mark.parametrize(("best_of", "seed"), [(2, 1), (3, 2), (5, 3)])
def test_the_verifiers_favourite_stays(tiny_config: dict[str, object], best_of: int, seed: int) -> None:

    config = config_of(tiny_config, best_of=best_of, max_attempts=8)
    verifier = ToldVerifier()
    (painted,) = paint(config, verifier, scene(seed=seed, placements=[place(seed, MIDDLE)]))
    (item,) = painted.objects
    shown = verifier.views[:best_of]
    margins = [seeded_margin(view) for view in shown]
    assert len(set(margins)) == best_of, "else there is nothing to choose"
    best = int(np.argmax(margins))
    assert [attempt.number for attempt in item.attempts if attempt.accepted] == [best]
    assert np.array_equal(painted.image[item.crop.slices], shown[best].picture)
    assert item.label is not None
    assert item.label.painted_box == shown[best].box.shifted(item.crop.x_min, item.crop.y_min)
    (bare,) = paint(config, None, scene(seed=seed))
    changed = (painted.image != bare.image).any(axis=2)
    changed[item.region.slices] = False
    assert not changed.any(), "outside of what was painted the picture is the background"


@pytest.mark.parametrize(
    ("labels", "margins", "strays", "rejected", "failures"),
    [
        # What the verifier says in turn (of strays the background comes first), and what fails in each attempt.
        pytest.param({"best_of": 2}, [0.8, 0.5], [0], {}, [[], ["best_of"]], id="the first is the favourite"),
        pytest.param({"best_of": 3}, [0.5], [0], {}, [[], ["best_of"], ["best_of"]], id="of equals the first stays"),
        pytest.param(
            {"best_of": 3}, [0.2, 0.5, 0.8], [0], {}, [["relevance"], ["best_of"], []], id="what failed was not beaten"
        ),
        pytest.param(
            {"best_of": 2}, [0.5, 0.9], [0, 0, 0.95], {}, [[], ["stray"]], id="the favourite must pass every check"
        ),
        pytest.param(
            {"best_of": 2, "max_attempts": 6},
            [-1.0, 0.0, 0.4, 0.6, 0.9],
            [0],
            {},
            [["relevance"], ["relevance"], ["best_of"], []],
            id="none passes: a round with the next seeds",
        ),
        pytest.param({}, [0.5], [0, 0.95, 0], {}, [["stray"], []], id="a stray beside an object fails it"),
        pytest.param(
            {"best_of": 2}, [0.5, 0.9], [0], {0: {0: {1}}}, [[], ["review"]], id="what a person rejected is not taken"
        ),
        pytest.param({}, [0.5], [0], {0: {7: {0}}, 5: {0: {0}}}, [[]], id="what was rejected elsewhere counts nowhere"),
    ],
)
def test_what_speaks_against_each_attempt(
    labels: dict[str, int],
    margins: list[float],
    strays: list[float],
    rejected: dict[int, Any],
    failures: list[list[str]],
    tiny_config: dict[str, object],
) -> None:
    config = config_of(tiny_config, **{"max_attempts": 4, **labels})
    verifier = ToldVerifier(margin=in_turn(*margins), stray=in_turn(*strays))
    _, item = paint_one(config, verifier, rejected)
    assert [attempt.number for attempt in item.attempts] == list(range(len(failures)))
    assert [failed(attempt) for attempt in item.attempts] == failures
    assert [attempt.seed for attempt in item.attempts] == [derive_seed(1000, n, 0) for n in range(len(failures))]
    reasons = {
        "best_of": "another seed came out better",
        "stray": "shows a platelet that nobody asked for (95%, above 90%)",
        "review": "rejected in review",
    }
    for attempt in item.attempts:
        last = attempt.verdicts[-1]
        assert attempt.accepted or last.reason == reasons.get(last.check, last.reason)
        assert last.check != "best_of" or last.score == pytest.approx(margins[min(attempt.number, len(margins) - 1)])


def test_without_a_verifier_one_seed_is_as_good_as_another(tiny_config: dict[str, object]) -> None:
    _, item = paint_one(config_of(tiny_config, best_of=2, max_attempts=4), None)
    assert [failed(attempt) for attempt in item.attempts] == [[], ["best_of"]]
    assert item.attempts[1].verdicts[-1].score == 0
    assert item.sighting is None


@pytest.mark.parametrize(("best_of", "max_attempts"), [(1, 1), (1, 3), (2, 1), (2, 3), (16, 5)])
@pytest.mark.parametrize("margin", [-1.0, 0.5])
def test_max_attempts_is_never_exceeded(
    tiny_config: dict[str, object], best_of: int, max_attempts: int, margin: float
) -> None:
    config = config_of(tiny_config, best_of=best_of, max_attempts=max_attempts)
    decoy = place(1, RIGHT, is_decoy=True)
    wide = config.model_copy(update={"canvas": config.canvas.model_copy(update={"width": 192})})
    # What is asked for never passes: an object for what it looks like, a decoy (and no background) for what it shows.
    verifier = ToldVerifier(
        margin=in_turn(margin), stray=lambda _, within: 1.0 if margin < 0 and within is not None else 0.0
    )
    (painted,) = paint(wide, verifier, scene(placements=[place(0, LEFT)], decoys=[decoy]))
    (item,), (other,) = painted.objects, painted.decoys
    # Where nothing passes all of them are used up; else one round is enough.
    wanted = max_attempts if margin < 0 else min(best_of, max_attempts)
    assert [attempt.number for attempt in item.attempts] == list(range(wanted))
    assert len(other.attempts) == (max_attempts if margin < 0 else 1)
    assert sum(attempt.accepted for attempt in item.attempts) == (0 if margin < 0 else 1)


def test_an_object_that_never_passes_leaves_the_picture_as_it_was(tiny_config: dict[str, object]) -> None:
    config = config_of(tiny_config, best_of=2, max_attempts=3)
    painted, item = paint_one(config, ToldVerifier(margin=in_turn(-0.5)))
    (bare,) = paint(config, ToldVerifier(), scene())
    assert item.label is None
    assert item.dropped == "looks like nothing (75%), and like what it should be 25%: a margin of -50%, below 30%"
    assert item.sighting is None
    assert np.array_equal(painted.image, bare.image)


@pytest.mark.parametrize(
    ("second", "in_one_round"),
    [
        pytest.param(Box.from_xywh(60, 30, 24, 24), True, id="apart: in one round, each in the other's crop"),
        pytest.param(Box.from_xywh(30, 8, 24, 24), False, id="beside: in a second round"),
    ],
)
def test_strays_are_looked_for_in_the_painted_part_beside_what_is_known(
    second: Box, in_one_round: bool, tiny_config: dict[str, object]
) -> None:
    first, verifier = Box.from_xywh(8, 8, 24, 24), ToldVerifier()
    (painted,) = paint(
        config_of(tiny_config, max_attempts=1), verifier, scene(placements=[place(0, first), place(1, second)])
    )
    one, other = painted.objects
    assert one.label is not None
    assert other.label is not None
    # Boxes are relative to the crop that is looked at; those of the plan and of labels to the canvas.
    searched = [
        (
            within.shifted(item.crop.x_min, item.crop.y_min),
            [box.shifted(item.crop.x_min, item.crop.y_min) for box in known],
        )
        for item, (within, known) in zip((one, other), verifier.searched[1:], strict=True)
        if within is not None
    ]
    beside_one = [other.label.painted_box] if in_one_round else []
    assert searched == [
        (one.region, [*beside_one, one.label.painted_box]),
        (other.region, [one.label.painted_box, other.label.painted_box]),
    ]


def decoy_of(config: Config, verifier: Verifier | None) -> tuple[Scene, PaintedObject]:
    (painted,) = paint(config, verifier, scene(decoys=[place(0, MIDDLE, is_decoy=True)]))
    return painted, painted.decoys[0]


def test_a_decoy_that_shows_a_class_is_dropped_and_the_picture_stays_as_it_was(tiny_config: dict[str, object]) -> None:
    config = config_of(tiny_config, best_of=2, max_attempts=3)
    painted, decoy = decoy_of(config, ToldVerifier(stray=in_turn(0.0, 0.95)))
    (bare,) = paint(config, ToldVerifier(), scene())
    assert [failed(attempt) for attempt in decoy.attempts] == [["stray"]] * 3
    assert decoy.dropped == "shows a platelet that nobody asked for (95%, above 90%)"
    assert decoy.label is None
    assert np.array_equal(painted.image, bare.image)
    assert painted.objects == ()


def test_a_decoy_that_shows_none_stays_without_a_label(tiny_config: dict[str, object]) -> None:
    config = config_of(tiny_config, best_of=4, max_attempts=4)
    verifier = ToldVerifier(stray=in_turn(0.0, 0.95, 0.9))
    painted, decoy = decoy_of(config, verifier)
    (bare,) = paint(config, ToldVerifier(), scene())
    # One seed at a time: of a decoy one is as good as another.
    assert [failed(attempt) for attempt in decoy.attempts] == [["stray"], []]
    assert [[verdict.check for verdict in attempt.verdicts] for attempt in decoy.attempts] == [["picture", "stray"]] * 2
    assert (decoy.label, decoy.dropped, decoy.sighting) == (None, "", None)
    changed = (painted.image != bare.image).any(axis=2)
    assert changed.any()
    changed[decoy.region.slices] = False
    assert not changed.any()
    # It is nobody's object: no view of it is shown, and nothing in its region is known.
    assert verifier.views == []
    assert [known for _, known in verifier.searched] == [(), (), ()]


def test_without_a_verifier_any_picture_will_do_for_a_decoy(tiny_config: dict[str, object]) -> None:
    _, decoy = decoy_of(config_of(tiny_config, max_attempts=4), None)
    assert [[verdict.check for verdict in attempt.verdicts] for attempt in decoy.attempts] == [["picture"]]


class LazyPainter(DiscPainter):
    """Paints what cannot be used, or nothing at all."""

    fault = ""

    def inpaint(self, jobs: Sequence[InpaintJob]) -> list[Painting]:
        return [Painting(pixels=job.image, fault=self.fault) for job in jobs]


class FaultyPainter(LazyPainter):
    fault = "the model painted NaN"


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(FaultyPainter, "the model painted NaN"), (LazyPainter, "changed area is 0% of the box, below 0.1%")],
)
def test_objects_of_which_nothing_was_painted_are_shown_to_no_verifier(
    tiny_config: dict[str, object], kind: type[LazyPainter], reason: str
) -> None:
    config = config_of(tiny_config, max_attempts=2)
    verifier = ToldVerifier()
    (painted,) = paint(config, verifier, scene(placements=[place(0, MIDDLE)]), painter=kind(config))
    assert verifier.views == []
    assert len(verifier.searched) == 1, "the background alone"
    assert painted.objects[0].dropped == reason
    assert all("relevance" not in {verdict.check for verdict in each.verdicts} for each in painted.objects[0].attempts)


def test_a_decoy_that_is_no_picture_is_dropped(tiny_config: dict[str, object]) -> None:
    config = config_of(tiny_config, max_attempts=2)
    plan = scene(decoys=[place(0, MIDDLE, is_decoy=True)])
    (painted,) = paint(config, ToldVerifier(), plan, painter=FaultyPainter(config))
    assert painted.decoys[0].dropped == "the model painted NaN"
    assert [len(attempt.verdicts) for attempt in painted.decoys[0].attempts] == [1, 1]


def several() -> list[ScenePlan]:
    def objects(first: int) -> list[Placement]:
        return [place(first, LEFT), place(first + 1, RIGHT)]

    return [scene(index, placements=objects(10 * index)) for index in range(3)]


def test_company_changes_no_scene(tiny_config: dict[str, object]) -> None:
    config = config_of({**tiny_config, "canvas": {"width": 192, "height": 64}}, best_of=2, max_attempts=3)
    together = paint(config, ToldVerifier(), *several())
    (alone,) = paint(config, ToldVerifier(), several()[1])
    assert np.array_equal(together[1].image, alone.image)
    assert [item.attempts for item in together[1].objects] == [item.attempts for item in alone.objects]
    for painted in together:
        for item in painted.objects:
            assert sum(attempt.accepted for attempt in item.attempts) == 1


def test_every_object_is_looked_at_again_in_the_finished_picture(tiny_config: dict[str, object]) -> None:
    config = config_of({**tiny_config, "canvas": {"width": 192, "height": 64}}, max_attempts=1)
    # The first is believed while it is painted, the second is not: of that there is nothing to look at.
    verifier = ToldVerifier(margin=in_turn(0.5, -1.0, 0.75))
    (painted,) = paint(config, verifier, scene(placements=[place(0, LEFT), place(1, RIGHT)]))
    one, other = painted.objects
    assert one.label is not None
    assert one.sighting is not None
    assert one.sighting.margin == pytest.approx(0.75)
    assert (other.label, other.sighting) == (None, None)
    last = verifier.views[-1]
    assert last.picture is painted.image
    assert (last.box, last.category) == (one.label.painted_box, "white blood cell")


def test_an_object_that_would_hide_an_earlier_one_is_not_painted(tiny_config: dict[str, object]) -> None:
    """Else the earlier one would stand in the picture without a label."""
    config = config_of(tiny_config, max_attempts=2, min_visible=0.4)
    (alone,) = paint(config, None, scene(placements=[place(0, MIDDLE)]))
    around = Box.from_xywh(28, 12, 40, 40)
    (painted,) = paint(config, None, scene(placements=[place(0, MIDDLE), place(1, around)]))
    first, second = painted.objects
    assert first.label is not None
    assert first.label.visible_share == 1.0
    assert [failed(attempt) for attempt in second.attempts] == [["covering"], ["covering"]]
    assert second.dropped.startswith("leaves only ")
    assert np.array_equal(painted.image, alone.image)
