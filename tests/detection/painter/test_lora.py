"""A LoRA learns what a painter could not paint; diffusers reads it as our config does."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from diffusers import StableDiffusionInpaintPipeline
from safetensors.torch import load_file

from detection.painter import run, training
from detection.painter.learning import fit
from detection.painter.lora import LoraRecipe, add_lora, lora_learner, save_lora
from detection.painter.run import train_painter
from detection.painter.samples import Bank, Sample, encode_samples
from detection.painter.settings import Listener, LoraSettings, PainterSettings
from detection.painter.unet import Denoiser, UnetRecipe, held_out_loss, unet_learner
from generator.bundles import DiffusionRef
from generator.config import Config, PaintingConfig
from generator.foundation.stopping import Stopped
from generator.foundation.training import Budget
from generator.painting.diffusion import Masking, decode, denoise, starting_noise
from generator.painting.models import DiffusionModel, load_model
from generator.painting.stable_diffusion import to_pixels
from tests.conftest import made_once, save_tiny_model
from tests.detection.discs import disc_set

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")
SIDE_PX, MASKED, SQUARE = 64, slice(8, 56), slice(16, 48)
# As far as the pocket's VAE, which the tiny checkpoint has, knows colours: it gives red back as grey.
COLOURS = {"a white square": (235, 235, 235), "a blue square": (30, 40, 200)}
WHITE, BLUE = COLOURS


def load(folder: Path, *adapters: Path, for_training: bool = False) -> DiffusionModel:
    ref = DiffusionRef(folder=str(folder), adapters=[{"folder": str(each)} for each in adapters] or None)
    return load_model("inpaint", ref, device=CPU, dtype=torch.float32, offline=True, for_training=for_training)


def drawer(caption: str) -> Callable[[np.random.Generator], Sample]:
    """A square of the caption's colour on a flat ground; the box to repaint is larger."""

    def draw(rng: np.random.Generator) -> Sample:
        pixels = np.tile(rng.integers(120, 200, 3).astype(np.uint8), (SIDE_PX, SIDE_PX, 1))
        pixels[SQUARE, SQUARE] = COLOURS[caption]
        mask = np.zeros((SIDE_PX, SIDE_PX), bool)
        mask[MASKED, MASKED] = True
        return Sample(pixels=pixels, mask=mask, caption=caption)

    return draw


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint in the layout of Stable Diffusion 2 inpainting that can paint white squares."""

    def make(folder: Path) -> None:
        save_tiny_model(folder, in_channels=9, prediction_type="epsilon", variants=(None,), seed=2)
        model = load(folder, for_training=True)
        parts = {"unet": model.unet, "text_encoder": model.text_encoder}
        for part in parts.values():
            part.requires_grad_(True)
        scheduler = model.new_scheduler()
        denoiser = Denoiser(
            **parts, tokenizer=model.tokenizer, levels=scheduler.alphas_cumprod, prediction_type="epsilon"
        )
        recipe = UnetRecipe(batch_size=16, learning_rate=4e-3, ema_decay=0.98, samples=(32, 48), canvas_share=0.0)
        fit(
            [unet_learner(denoiser, Bank(drawer(WHITE), model.vae, 1, CPU), None, recipe)],
            Budget(steps=200),
            seed=0,
            device=CPU,
            batch_size=recipe.batch_size,
        )
        for name, part in parts.items():
            part.save_pretrained(folder / name)

    return made_once(tmp_path_factory, "tiny_painter", make)


def paint(model: DiffusionModel) -> np.ndarray:
    """Pictures (4, 64, 64, 3) of what a model paints as a blue square on grounds that it never saw."""
    pictures = []
    for number in range(4):
        [row] = encode_samples([drawer(BLUE)(np.random.default_rng(1000 + number))], model.vae, CPU)
        noise = starting_noise([number], (SIDE_PX, SIDE_PX), model)
        latents = denoise(
            model,
            noise,
            model.embed_prompt(BLUE),
            model.embed_prompt(""),
            Masking(mask=row.mask[None].float(), latents=row.masked[None].float()),
            PaintingConfig(guidance_scale=1.0),
            noise.expand_as,
        )
        pictures.append(to_pixels(decode(model, latents))[0])
    return np.stack(pictures)


def blueness(pictures: np.ndarray, rows: slice = slice(24, 40)) -> np.ndarray:
    """Blue over green in the middle of the square, or in other rows, in grey values."""
    colours = pictures[:, rows, 24:40].mean(axis=(1, 2))
    return colours[:, 2] - colours[:, 1]


def test_it_learns_a_shape_in_a_colour_that_it_could_not_paint(painter: Path, tmp_path: Path) -> None:
    model = load(painter, for_training=True)
    recipe = LoraRecipe(
        gradient_checkpointing=False, batch_size=16, learning_rate=1e-2, ema_decay=0.95, samples=(16, 32)
    )
    denoiser = add_lora(model, recipe, seed=0)
    held_out = [drawer(BLUE)(np.random.default_rng(500 + number)) for number in range(8)]
    rows = encode_samples(held_out, model.vae, CPU)
    before = held_out_loss(denoiser, rows, 0)
    learner = lora_learner(denoiser, Bank(drawer(BLUE), model.vae, 1, CPU), [], recipe)
    fit([learner], Budget(steps=120), seed=0, device=CPU, batch_size=recipe.batch_size)
    assert held_out_loss(denoiser, rows, 0) < before / 2
    save_lora(model, tmp_path)
    # By our config, in the weights of the model; and by diffusers itself, beside them.
    ours = load(painter, tmp_path)
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(painter, safety_checker=None)
    pipeline.load_lora_weights(tmp_path)
    theirs = dataclasses.replace(load(painter), unet=pipeline.unet, text_encoder=pipeline.text_encoder)
    after = paint(ours)
    np.testing.assert_allclose(paint(theirs), after, atol=1.0)
    # By pixels: white before, about 5 on average, and blue now, about 108; but not what is repainted around the square.
    plain, above = paint(load(painter)), slice(9, 14)
    assert blueness(plain).mean() < 30
    assert (blueness(after) > blueness(plain) + 40).all()
    assert np.abs(blueness(after, above) - blueness(plain, above)).mean() < 40


def photos_of_discs(folder: Path) -> Any:
    return disc_set(folder / "photos", 6, seed=1)


class Stop(Listener):
    """Asks for an end, as Ctrl-C does, in the third step."""

    def on_step(self, step: int, _loss: float, /) -> None:
        if step == 3:
            signal.raise_signal(signal.SIGINT)


def settings(**lora: object) -> PainterSettings:
    few = {"rank": 2, "batch_size": 2, "prior_images": 2, **lora}
    return PainterSettings(steps=5, validate_every=2, samples=1, lora=LoraSettings.model_validate(few))


def test_a_painter_of_two_models_becomes_a_bundle_of_loras(
    tiny_sd21: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "LARGE_BYTES", 0)
    monkeypatch.setattr(training, "HELD_OUT_SAMPLES", 4)
    start = tmp_path / "start"
    start.mkdir()
    card = yaml.safe_load((Path(run.__file__).parents[2] / "generator/bundles/sd21/bundle.yaml").read_text())
    inpaint, background = str(tiny_sd21 / "inpaint"), str(tiny_sd21 / "background")
    card["models"] = {"inpaint": {"folder": inpaint}, "background": {"folder": background, "variant": "fp16"}}
    card["defaults"]["canvas"] = {"width": 96, "height": 64}
    (start / "bundle.yaml").write_text(yaml.safe_dump(card))
    photos, out = photos_of_discs(tmp_path), tmp_path / "out"

    def train(out: Path, listener: Listener | None = None) -> None:
        train_painter(photos, out, settings(text_encoder=True), start=str(start), device=CPU, listener=listener)

    train(out)
    config = Config(bundle=str(out))
    files = [out / role / "pytorch_lora_weights.safetensors" for role in ("inpaint", "background")]
    for file in files:
        assert {name.split(".")[0] for name in load_file(file)} == {"unet", "text_encoder"}
    assert config.models.inpaint.folder == inpaint
    assert [each.folder for each in config.models.inpaint.adapters] == [str(files[0].parent)]
    assert (config.models.background.variant, len(config.models.background.adapters)) == ("fp16", 1)
    assert config.card.unknown_words(["a zebra"]) == []
    # Stopped in the middle of the first, it goes on to the same weights; what is kept is as small as the LoRA.
    again = tmp_path / "again"
    with pytest.raises(Stopped):
        train(again, Stop())
    assert (again / "inpaint.checkpoint.pt").stat().st_size < 500_000
    train(again)
    for file in files:
        weights, others = load_file(file), load_file(again / file.relative_to(out))
        assert weights.keys() == others.keys()
        assert all(torch.equal(weights[name], others[name]) for name in weights)
