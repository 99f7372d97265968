"""The last touch: one past and one noise for a whole picture, of models of four and nine channels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from generator.config import Config
from generator.foundation.errors import ModelError
from generator.foundation.geometry import Box
from generator.foundation.seeds import derive_seed
from generator.labels.checks import measure_contrast
from generator.labels.verifier import Verifier
from generator.painting import stable_diffusion
from generator.painting.chunk import paint_chunk
from generator.painting.diffusion import REDRAW_STEPS, Masking, redraw, starting_noise
from generator.painting.finish import add_sensor_noise, finish_pictures
from generator.painting.models import DiffusionModel
from generator.painting.painter import Painter, Painting, RedrawJob
from generator.painting.stable_diffusion import StableDiffusionPainter
from generator.plan import Placement
from generator.types import Scene
from tests.generator.painting.stand_ins import (
    DiscPainter,
    ToldVerifier,
    config_with,
    in_turn,
    place,
    scene,
    spoil_decoder,
    with_config,
)

# 100 x 70 is no multiple of 16: drawn over as 112 x 80, and cut.
SIZES = [(96, 64), (100, 70), (97, 81)]
channels = pytest.mark.parametrize("name", ["background", "inpaint"], ids=["4 channels", "9 channels"])


@pytest.fixture(scope="module")
def painters(tiny_sd21: Path) -> dict[str, StableDiffusionPainter]:
    """Painters whose background model has four (v-prediction) and nine (epsilon) channels."""

    def painter_of(name: str) -> StableDiffusionPainter:
        models = {"background": {"folder": str(tiny_sd21 / name)}, "inpaint": {"folder": str(tiny_sd21 / "inpaint")}}
        return StableDiffusionPainter(Config.load(bundle="sd21", batch_size=2, models=models))

    return {name: painter_of(name) for name in ("background", "inpaint")}


def config_of(
    size_wh: tuple[int, int] = (96, 64), *, strength: float = 0.125, noise: float = 0.0, max_attempts: int = 3
) -> Config:
    return Config.load(
        bundle="sd21",
        canvas={"width": size_wh[0], "height": size_wh[1]},
        painting={"harmonize_strength": strength, "sensor_noise": noise},
        labels={"max_attempts": max_attempts},
    )


def picture(size_wh: tuple[int, int] = (96, 64), number: int = 0) -> np.ndarray:
    """A disc on a pale ground, the only kind of picture that the tiny models' VAE knows."""
    (width, height), shift = size_wh, 8 * number
    pixels = np.full((height, width, 3), (217, 217, 204), np.uint8)
    cv2.circle(pixels, (width // 3 + shift, height // 3), 14, (140, 90, 150), -1, cv2.LINE_AA)
    return pixels


def watch_seeds(monkeypatch: pytest.MonkeyPatch, painter: StableDiffusionPainter) -> list[list[int]]:
    """Return a list that grows by the seeds of each call of the painter that has jobs."""
    real, seeds = painter.redraw, list[list[int]]()

    def watched(jobs: Sequence[RedrawJob], level: float) -> list[Painting]:
        seeds.append([job.seed for job in jobs])
        return real(jobs, level)

    monkeypatch.setattr(painter, "redraw", watched)
    return seeds


# All of it.


@channels
@pytest.mark.parametrize("size_wh", SIZES)
def test_finished_pictures_are_pictures_of_the_same_size(
    painters: dict[str, StableDiffusionPainter], name: str, size_wh: tuple[int, int]
) -> None:
    pictures, scenes = [picture(size_wh, number) for number in range(3)], [scene(number) for number in range(3)]
    before = [each.copy() for each in pictures]
    finished = finish_pictures(pictures, scenes, with_config(painters[name], config_of(size_wh, noise=1.5)))
    assert [each.shape for each in finished] == [(size_wh[1], size_wh[0], 3)] * 3
    assert all(each.dtype == np.uint8 for each in finished)
    for one, other, old in zip(finished, pictures, before, strict=True):
        assert not np.array_equal(one, other)
        assert np.array_equal(other, old), "what it is given stays as it is"


def test_without_harmonizing_and_noise_they_are_left_bit_for_bit(painters: dict[str, StableDiffusionPainter]) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (81, 97, 3), dtype=np.uint8)
    painter = with_config(painters["background"], config_of((97, 81), strength=0))
    (finished,) = finish_pictures([noise], [scene()], painter)
    assert np.array_equal(finished, noise)
    assert finish_pictures([], [], painter) == []


@channels
def test_the_seed_of_the_scene_decides(painters: dict[str, StableDiffusionPainter], name: str) -> None:
    def finished(seed: int, config: Config) -> np.ndarray:
        return finish_pictures([picture()], [scene(seed=seed)], with_config(painters[name], config))[0]

    both, past, sensor = config_of(noise=1.5), config_of(), config_of(strength=0, noise=1.5)
    assert np.array_equal(finished(1, both), finished(1, both))
    for config in (past, sensor):
        assert not np.array_equal(finished(1, config), finished(2, config))


@channels
def test_a_picture_does_not_depend_on_how_many_others_are_finished(
    painters: dict[str, StableDiffusionPainter], name: str
) -> None:
    # With two in a batch, five make three batches.
    pictures, scenes = [picture(number=number) for number in range(5)], [scene(number) for number in range(5)]
    painter = with_config(painters[name], config_of(noise=1.5))
    together = finish_pictures(pictures, scenes, painter)
    for number in (0, 4):
        assert np.array_equal(together[number], finish_pictures([pictures[number]], [scenes[number]], painter)[0])


# One past.


@channels
@pytest.mark.parametrize("size_wh", SIZES)
def test_what_is_coarse_stays_where_it_was(
    painters: dict[str, StableDiffusionPainter], monkeypatch: pytest.MonkeyPatch, name: str, size_wh: tuple[int, int]
) -> None:
    # Nothing but the way to the latents and back: what is left of the sides that are added and cut off again.
    monkeypatch.setattr(stable_diffusion, "redraw", lambda _model, latents, *_: latents)
    old = picture(size_wh)
    (new,) = finish_pictures([old], [scene()], with_config(painters[name], config_of(size_wh)))

    def error(dx: int, dy: int) -> float:
        moved = np.roll(new, (dy, dx), axis=(0, 1))
        return float(np.abs(moved.astype(int) - old).mean())

    assert error(0, 0) < 12
    assert all(error(0, 0) < error(dx, dy) for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)))


@channels
def test_a_higher_level_leaves_less_of_a_picture(painters: dict[str, StableDiffusionPainter], name: str) -> None:
    model = painters[name].background_model
    latents, noise, words, masking = inputs(model)
    change = [
        float((redraw(model, latents, noise, words, masking, level) - latents).abs().mean())
        for level in (0.02, 0.125, 0.25, 0.5, 1.0)
    ]
    assert change == sorted(change)
    assert 4 * change[0] < change[-1]


def inputs(model: DiffusionModel) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Masking | None]:
    """Latents of two pictures, noise, words, and what tells a UNet of nine channels to paint all."""
    latents = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(1))
    masking = Masking(mask=torch.ones(2, 1, 8, 12), latents=torch.zeros_like(latents))
    words = model.embed_prompt("a blood smear").expand(2, -1, -1)
    return latents, starting_noise([1, 2], (96, 64), model), words, masking if model.in_channels == 9 else None


@channels
@pytest.mark.parametrize("level", [0.02, 0.05, 0.125])
def test_a_model_that_knows_the_noise_gives_the_picture_back(
    painters: dict[str, StableDiffusionPainter], monkeypatch: pytest.MonkeyPatch, name: str, level: float
) -> None:
    """Of x = a z + s n it is to say n (epsilon), or a n - s z (v): with either the solver is led straight to z."""
    model = painters[name].background_model
    latents, noise, words, masking = inputs(model)
    scheduler: Any = model.new_scheduler()
    alphas = scheduler.alphas_cumprod
    steps: list[int] = []
    rows: list[tuple[int, ...]] = []

    def knowing(x: torch.Tensor, timestep: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor]:
        steps.append(int(timestep))
        rows.append(tuple(x.shape))
        a, s = alphas[int(timestep)].sqrt(), (1 - alphas[int(timestep)]).sqrt()
        return (noise if model.in_channels == 9 else a * noise - s * latents,)

    monkeypatch.setattr(model.unet, "forward", knowing)
    assert torch.allclose(redraw(model, latents, noise, words, masking, level), latents, atol=1e-4)
    # No guidance: as many rows as pictures. The first step is at the level asked for, the rest below.
    assert rows == [(2, model.in_channels, 8, 12)] * REDRAW_STEPS
    assert steps[0] / 1000 == pytest.approx(level, rel=0.1)
    assert steps == sorted(steps, reverse=True)


def test_a_unet_of_nine_channels_is_told_to_paint_all(
    painters: dict[str, StableDiffusionPainter], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = painters["inpaint"].background_model
    masks: list[torch.Tensor] = []
    real = model.unet.forward

    def watched(x: torch.Tensor, *rest: Any, **more: Any) -> Any:
        masks.append(x[:, 4])
        return real(x, *rest, **more)

    monkeypatch.setattr(model.unet, "forward", watched)
    finish_pictures([picture()], [scene()], with_config(painters["inpaint"], config_of()))
    # Two rows: the batch is filled up with copies.
    assert [tuple(mask.shape) for mask in masks] == [(2, 8, 12)] * REDRAW_STEPS
    assert all(bool((mask == 1).all()) for mask in masks)


@pytest.mark.parametrize("max_attempts", [1, 3])
def test_a_model_that_makes_no_picture_is_one_error_after_all_attempts(
    painters: dict[str, StableDiffusionPainter], monkeypatch: pytest.MonkeyPatch, max_attempts: int
) -> None:
    calls = spoil_decoder(monkeypatch, lambda _: True)
    words = rf"scene 7: the model painted NaN, {max_attempts} times, .*dtype: float32.*painting\.harmonize_strength: 0"
    with pytest.raises(ModelError, match=words):
        finish_pictures(
            [picture()], [scene(7)], with_config(painters["background"], config_of(max_attempts=max_attempts))
        )
    assert calls == [1] * max_attempts


def test_a_picture_that_went_wrong_comes_again_alone_with_the_next_seed(
    painters: dict[str, StableDiffusionPainter], monkeypatch: pytest.MonkeyPatch
) -> None:
    painter, config = painters["background"], config_of()
    pictures, scenes = [picture(number=number) for number in range(3)], [scene(number) for number in range(3)]
    sound = finish_pictures(pictures, scenes, with_config(painter, config))
    seeds = watch_seeds(monkeypatch, painter)
    calls = spoil_decoder(monkeypatch, lambda call: call == 1)  # the second batch of the first attempt: the third one
    finished = finish_pictures(pictures, scenes, with_config(painter, config))
    assert calls == [2, 1, 1]
    assert [np.array_equal(one, other) for one, other in zip(finished, sound, strict=True)] == [True, True, False]
    assert finished[2].std() > 5
    assert [len(each) for each in seeds] == [3, 1]
    assert len({*seeds[0], *seeds[1]}) == 4, "a seed of its own"
    # The same noise as that of a background would be the one that it was painted from.
    assert not {*seeds[0], *seeds[1]} & {derive_seed(each.seed, number) for each in scenes for number in range(100)}


# One sensor.


@pytest.mark.parametrize(("deviation", "seed"), [(1.5, 0), (4.0, 1), (10.0, 2**62)])
def test_the_noise_has_the_standard_deviation_asked_for(deviation: float, seed: int) -> None:
    flat = np.full((200, 300, 3), (120, 128, 136), np.uint8)
    noise = add_sensor_noise(flat, deviation, seed).astype(float) - flat
    for channel in range(3):
        assert noise[..., channel].std() == pytest.approx(deviation, rel=0.05)
        assert abs(noise[..., channel].mean()) < 0.1
    # Each pixel and each channel has its own.
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.02


def test_the_noise_of_a_grey_picture_is_grey() -> None:
    grey = np.full((50, 50, 3), 128, np.uint8)
    noisy = add_sensor_noise(grey, 5.0, 1)
    assert (noisy == noisy[..., :1]).all()
    assert noisy.std() == pytest.approx(5.0, rel=0.1)


def test_the_noise_of_a_bright_or_dark_picture_does_not_wrap_round() -> None:
    ends = np.zeros((50, 50, 3), np.uint8)
    ends[:25] = 255
    noisy = add_sensor_noise(ends, 5.0, 1)
    assert noisy[:25].min() > 200
    assert noisy[25:].max() < 50


def test_the_noise_is_added_to_the_redrawn_picture(painters: dict[str, StableDiffusionPainter]) -> None:
    (redrawn,) = finish_pictures([picture()], [scene()], with_config(painters["background"], config_of()))
    (both,) = finish_pictures([picture()], [scene()], with_config(painters["background"], config_of(noise=3.0)))
    assert np.array_equal(both, add_sensor_noise(redrawn, 3.0, scene().seed))


MIDDLE = Box.from_xywh(34, 18, 28, 28)


def paint(verifier: Verifier, placements: Sequence[Placement], painter: Painter) -> Scene:
    (painted,) = paint_chunk([scene(placements=placements)], painter, verifier)
    return painted


class CountingPainter(DiscPainter):
    """Says how many pictures were drawn over."""

    redrawn = 0

    def redraw(self, jobs: Sequence[RedrawJob], strength: float) -> list[Painting]:
        """Count, and draw."""
        self.redrawn += len(jobs)
        return super().redraw(jobs, strength)


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
    painted = paint(verifier, [place(0, MIDDLE)], painter)
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
    item = paint(verifier, [place(0, MIDDLE)], DiscPainter(config)).objects[0]
    (contrast,) = [each for each in item.attempts[0].verdicts if each.check == "contrast"]
    assert item.label is not None
    mask = np.zeros((item.crop.height, item.crop.width), bool)
    mask[item.label.painted_box.shifted(-item.crop.x_min, -item.crop.y_min).slices] = item.label.mask
    assert contrast.score == pytest.approx(measure_contrast(verifier.views[0].picture, mask), abs=1e-4)
    too_much = config.model_copy(update={"labels": config.labels.model_copy(update={"min_contrast": 100.0})})
    assert (
        paint(ToldVerifier(), [place(0, MIDDLE)], DiscPainter(too_much))
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
        paint(ToldVerifier(margin=in_turn(0.2)), placements, DiscPainter(config))
        for placements in ([], [place(0, MIDDLE)])
    )
    assert dropped.objects[0].label is None
    assert np.array_equal(bare.image, dropped.image)
