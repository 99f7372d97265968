from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny

from generator.config import Config
from generator.foundation.errors import ModelError
from generator.painting import stable_diffusion
from generator.painting.painter import BackgroundJob, InpaintJob
from generator.painting.stable_diffusion import StableDiffusionPainter
from tests.generator.painting.stand_ins import config_with


@pytest.fixture()
def tiny(tiny_config: dict[str, object]) -> StableDiffusionPainter:
    return StableDiffusionPainter(Config.load(**tiny_config))


def background(seed: int, prompt: str = "a blood smear", size_wh: tuple[int, int] = (96, 64)) -> BackgroundJob:
    return BackgroundJob(prompt=prompt, negative_prompt="", seed=seed, size_wh=size_wh)


def inpaint(seed: int, size: int = 64) -> InpaintJob:
    image = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    mask = np.zeros((size, size), bool)
    mask[16:48, 16:48] = True
    return InpaintJob(prompt="a cell", negative_prompt="", seed=seed, size_wh=(size, size), image=image, mask=mask)


def test_backgrounds_have_the_size_asked_for_even_when_the_model_cannot_paint_it(tiny: StableDiffusionPainter) -> None:
    # 100 x 70 is no multiple of 16: painted as 112 x 80 and cut.
    (painting,) = tiny.paint_backgrounds([background(1, size_wh=(100, 70))])
    assert painting.pixels.shape == (70, 100, 3)
    assert painting.pixels.dtype == np.uint8
    assert painting.fault == ""


@pytest.mark.parametrize(("sampler", "steps"), [("dpm", 2), ("consistency", 3)])
def test_a_picture_does_not_depend_on_how_many_others_are_asked_for(
    tiny_config: dict[str, object], sampler: str, steps: int
) -> None:
    painter = StableDiffusionPainter(config_with(tiny_config, painting={"steps": steps, "sampler": sampler}))
    alone = painter.paint_backgrounds([background(2)])[0].pixels
    among = painter.paint_backgrounds([background(1), background(2), background(3)])
    assert np.array_equal(alone, among[1].pixels)
    assert not np.array_equal(among[0].pixels, among[1].pixels)
    jobs = [inpaint(number, size) for number, size in enumerate([64, 80, 64, 80, 64])]
    for job, painting in zip(jobs, painter.inpaint(jobs), strict=True):
        assert np.array_equal(painting.pixels, painter.inpaint([job])[0].pixels)


def test_prompt_and_seed_decide_the_picture(tiny: StableDiffusionPainter) -> None:
    one, other = tiny.paint_backgrounds([background(1, "a blood smear"), background(1, "a platelet")])
    assert not np.array_equal(one.pixels, other.pixels)


def test_a_bundle_without_a_text_to_image_model_paints_backgrounds_by_inpainting() -> None:
    pocket = StableDiffusionPainter(Config(painting={"steps": 2}))
    assert pocket.background_model is pocket.inpaint_model
    (painting,) = pocket.paint_backgrounds([background(1)])
    assert painting.fault == ""
    assert painting.pixels.std() > 5


def test_out_of_memory_halves_the_batch_goes_on_and_says_so(
    tiny_config: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    whole = StableDiffusionPainter(Config.load(**{**tiny_config, "batch_size": 4}), on_warning=said.append)
    real = stable_diffusion.denoise

    def scarce(model, noise, *rest):
        if len(noise) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(model, noise, *rest)

    monkeypatch.setattr(stable_diffusion, "denoise", scarce)
    assert len(whole.paint_backgrounds([background(number) for number in range(5)])) == 5
    assert whole.batch_size == 1
    assert [text for text in said if "out of memory" in text and "2" in text]


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (torch.OutOfMemoryError("CUDA"), ModelError, "not enough memory on cpu for one picture of 96 x 64"),
        (RuntimeError("shapes do not match"), RuntimeError, "shapes"),
    ],
)
def test_too_little_memory_for_one_picture_is_one_message_and_other_errors_are_not_taken_for_it(
    tiny: StableDiffusionPainter, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: type, words: str
) -> None:
    monkeypatch.setattr(stable_diffusion, "denoise", Mock(side_effect=error))
    with pytest.raises(expected, match=words):
        tiny.paint_backgrounds([background(1)])


def test_a_prompt_that_is_too_long_is_said_once(tiny_config: dict[str, object]) -> None:
    said: list[str] = []
    painter = StableDiffusionPainter(Config.load(**tiny_config), on_warning=said.append)
    long = " ".join(["a white blood cell"] * 20)
    painter.paint_backgrounds([background(1, long), background(2, long), background(3)])
    assert len(said) == 1
    assert "too long" in said[0]


@pytest.mark.parametrize(
    ("value", "word"), [(float("nan"), "NaN"), (float("inf"), "NaN"), (-1.0, "black"), (0.0, "flat")]
)
def test_nan_black_and_flat_pictures_are_faults(
    tiny: StableDiffusionPainter, monkeypatch: pytest.MonkeyPatch, value: float, word: str
) -> None:
    monkeypatch.setattr(stable_diffusion, "decode", lambda _, latents: torch.full((len(latents), 3, 64, 96), value))
    (painting,) = tiny.paint_backgrounds([background(1)])
    assert word in painting.fault


def test_a_four_channel_model_can_inpaint(tiny_config: dict[str, object], tiny_sd21: Path) -> None:
    models = {"inpaint": {"folder": str(tiny_sd21 / "background")}}
    painter = StableDiffusionPainter(config_with(tiny_config, models=models))
    assert painter.inpaint_model.in_channels == 4
    (painting,) = painter.inpaint([inpaint(3)])
    assert painting.pixels.shape == (64, 64, 3)
    assert painting.fault == ""


def test_each_model_is_sampled_as_it_wants_to_be(
    tiny_config: dict[str, object], tiny_sd21: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turbo = {"sampler": "consistency", "steps": 1, "guidance_scale": 1.0, "folder": str(tiny_sd21 / "background")}
    painter = StableDiffusionPainter(config_with(tiny_config, models={"background": turbo}))
    seen = []
    real = stable_diffusion.denoise
    monkeypatch.setattr(stable_diffusion, "denoise", lambda *given: seen.append(given[5]) or real(*given))
    painter.paint_backgrounds([background(1), background(2)])
    painter.inpaint([inpaint(1)])
    assert [(each.sampler, each.steps, each.guidance_scale) for each in seen] == [
        ("consistency", 1, 1.0),
        ("dpm", 2, 7.5),
    ]


def test_a_tiny_vae_takes_the_place_of_both_where_its_latents_are_alike(
    tiny_config: dict[str, object], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    widths = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}
    AutoencoderTiny(**widths).save_pretrained(tmp_path / "taesd")
    AutoencoderTiny(latent_channels=16, **widths).save_pretrained(tmp_path / "taef1")
    painter = StableDiffusionPainter(config_with(tiny_config, models={"vae": {"folder": str(tmp_path / "taesd")}}))
    assert painter.background_model.vae.config.encoder_block_out_channels == [8] * 4
    assert painter.paint_backgrounds([background(1)])[0].pixels.shape == (64, 96, 3)
    assert painter.inpaint([inpaint(1)])[0].pixels.shape == (64, 64, 3)
    with pytest.raises(ModelError, match=r"models\.vae: .*taef1' is not for latents of the kind that inpaint paints"):
        StableDiffusionPainter(config_with(tiny_config, models={"vae": {"folder": str(tmp_path / "taef1")}}))


def test_a_batch_that_was_measured_is_noted(tiny_config: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU the batch is measured; here the measuring is real, and only the bytes are made up."""
    tried: list[int] = []

    def peak(_device: torch.device, do: Callable[[], object]) -> int:
        do()
        return 1000 * len(tried)

    real = stable_diffusion.denoise
    monkeypatch.setattr(stable_diffusion, "choose_batch_size", lambda *_: None)
    monkeypatch.setattr(stable_diffusion, "free_bytes", lambda *_: 10_000)
    monkeypatch.setattr(stable_diffusion, "measured_peak", peak)
    monkeypatch.setattr(stable_diffusion, "denoise", lambda *given: tried.append(len(given[1])) or real(*given))
    notes: list[str] = []
    painter = StableDiffusionPainter(Config.load(**tiny_config), on_note=notes.append)
    # Two models in turn, one picture and then two; 2,000 bytes, then 4,000: four fit.
    assert tried == [1, 1, 2, 2]
    assert painter.batch_size == 4
    assert notes == ["4 pictures at a time fit into the memory of cpu"]
