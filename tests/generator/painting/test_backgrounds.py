"""Backgrounds: real ones of a tiny model; what is seen in them is told, attempt by attempt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from generator.config import Config
from generator.foundation.errors import ModelError
from generator.foundation.seeds import derive_seed
from generator.labels.verifier import Verifier
from generator.painting.backgrounds import Background, paint_backgrounds
from generator.painting.chunk import paint_chunk
from generator.painting.painter import BackgroundJob
from generator.painting.stable_diffusion import StableDiffusionPainter
from tests.generator.painting.stand_ins import ToldVerifier, config_with, in_turn, scene, spoil_decoder, with_config

MAX_STRAY = 0.9


@pytest.fixture()
def config(tiny_config: dict[str, object]) -> Config:
    return config_with(tiny_config, labels={"max_attempts": 3, "max_unlabelled": MAX_STRAY})


@pytest.fixture(scope="module")
def painter(tiny_sd21: Path) -> StableDiffusionPainter:
    # One picture in a batch: then the calls of the decoder are the attempts.
    models = {name: {"folder": str(tiny_sd21 / name)} for name in ("background", "inpaint")}
    return StableDiffusionPainter(Config.load(bundle="sd21", batch_size=1, painting={"steps": 2}, models=models))


def paint(
    painter: StableDiffusionPainter, config: Config, verifier: Verifier | None, *, scenes: int = 1
) -> tuple[list[Background], list[int]]:
    told: list[int] = []
    plans = [scene(index) for index in range(scenes)]
    return paint_backgrounds(plans, with_config(painter, config), verifier, told.append), told


def painted_with(painter: StableDiffusionPainter, config: Config, seed: int) -> np.ndarray:
    job = BackgroundJob(prompt=scene().prompt, negative_prompt="", seed=seed, size_wh=config.canvas_wh)
    return painter.paint_backgrounds([job])[0].pixels


def strays(background: Background) -> list[float]:
    return [
        verdict.score for attempt in background.attempts for verdict in attempt.verdicts if verdict.check == "stray"
    ]


def test_without_a_verifier_a_picture_is_enough(painter: StableDiffusionPainter, config: Config) -> None:
    (background,), told = paint(painter, config, None)
    assert background.taken == 0
    (attempt,) = background.attempts
    assert [(verdict.check, verdict.passed) for verdict in attempt.verdicts] == [("picture", True)]
    assert told == [1]


def test_a_clean_one_is_taken_at_once(painter: StableDiffusionPainter, config: Config) -> None:
    verifier = ToldVerifier()
    (background,), _ = paint(painter, config, verifier)
    assert (background.taken, len(background.attempts), background.attempts[0].accepted) == (0, 1, True)
    assert background.attempts[0].seed == derive_seed(scene().seed, 0)
    assert np.array_equal(background.pixels, painted_with(painter, config, background.attempts[0].seed))
    # All of it is looked at, and nothing in it is known.
    assert verifier.searched == [(None, ())]


@pytest.mark.parametrize(
    ("seen", "taken"),
    [
        # Each row: how surely a stray is seen in each attempt. Above 0.9 it is one.
        pytest.param([0.95, 0.2], 1, id="the second shows none"),
        pytest.param([0.99, 0.95, 0.9], 2, id="the last shows none, by the skin of its teeth"),
        pytest.param([0.99, 0.93, 0.96], 1, id="all show one: the least certain"),
        pytest.param([0.91, 0.93, 0.96], 0, id="the first is the least certain"),
        pytest.param([0.99, 0.98, 0.97], 2, id="the last is the least certain"),
        pytest.param([0.95, 0.95, 0.95], 0, id="of equals the first"),
    ],
)
def test_one_that_shows_a_stray_comes_again_with_the_next_seed(
    painter: StableDiffusionPainter, config: Config, seen: list[float], taken: int
) -> None:
    (background,), told = paint(painter, config, ToldVerifier(stray=in_turn(*seen)))
    assert background.taken == taken
    assert strays(background) == seen
    assert [attempt.number for attempt in background.attempts] == list(range(len(seen)))
    assert [attempt.seed for attempt in background.attempts] == [derive_seed(10, number) for number in range(len(seen))]
    assert [attempt.accepted for attempt in background.attempts] == [score <= MAX_STRAY for score in seen]
    assert np.array_equal(background.pixels, painted_with(painter, config, background.attempts[taken].seed))
    assert told == [1], "one background, however often it was painted"


def test_each_scene_has_attempts_of_its_own(painter: StableDiffusionPainter, config: Config) -> None:
    # Both, then both, then the one that is left.
    verifier = ToldVerifier(stray=in_turn(0.95, 0.99, 0.97, 0.1, 0.93))
    (one, other), told = paint(painter, config, verifier, scenes=2)
    assert (strays(one), one.taken) == ([0.95, 0.97, 0.93], 2)
    assert (strays(other), other.taken) == ([0.99, 0.1], 1)
    assert told == [1, 1]
    assert not np.array_equal(one.pixels, other.pixels)


def test_what_is_no_picture_is_shown_to_nobody_and_never_taken(
    painter: StableDiffusionPainter, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_decoder(monkeypatch, lambda call: call in (0,))
    verifier = ToldVerifier(stray=in_turn(0.95, 0.93))
    (background,), _ = paint(painter, config, verifier)
    assert len(verifier.searched) == 2
    assert [[verdict.check for verdict in attempt.verdicts] for attempt in background.attempts] == [
        ["picture"],
        ["picture", "stray"],
        ["picture", "stray"],
    ]
    assert background.taken == 2


def test_one_that_shows_a_stray_is_better_than_none(
    painter: StableDiffusionPainter, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil_decoder(monkeypatch, lambda call: call in (1, 2))
    (background,), told = paint(painter, config, ToldVerifier(stray=in_turn(1.0)))
    assert (background.taken, len(background.attempts)) == (0, 3)
    assert background.pixels.std() > 0
    assert told == [1]


@pytest.mark.parametrize("verifier", [None, ToldVerifier()], ids=["unseen", "seen"])
def test_a_model_that_paints_no_picture_is_one_error(
    painter: StableDiffusionPainter, config: Config, monkeypatch: pytest.MonkeyPatch, verifier: Verifier | None
) -> None:
    spoil_decoder(monkeypatch, lambda call: call in (0, 1, 2))
    with pytest.raises(ModelError, match=r"scene 0: the model painted NaN, 3 times; try dtype: float32"):
        paint(painter, config, verifier)


def test_the_scene_tells_which_one_was_taken(painter: StableDiffusionPainter, config: Config) -> None:
    (painted,) = paint_chunk([scene()], with_config(painter, config), ToldVerifier(stray=in_turn(0.99, 0.93, 0.96)))
    assert painted.background_taken == 1
    assert len(painted.background_attempts) == 3
