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

from detection.painter import run
from detection.painter.learning import fit
from detection.painter.lora import LoraRecipe, add_lora, lora_learner, paint_prior, save_lora
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
SIDE_PX, BOX = 64, slice(16, 48)
COLOURS = {
    "a blue square": (30, 40, 200),
    "a green square": (40, 170, 60),
    "a white square": (235, 235, 235),
    "a black square": (25, 25, 25),
    "a red square": (210, 30, 30),
}
RED = "a red square"
OTHERS = tuple(caption for caption in COLOURS if caption != RED)


def load(folder: Path, *adapters: Path, for_training: bool = False) -> DiffusionModel:
    ref = DiffusionRef(folder=str(folder), adapters=[{"folder": str(each)} for each in adapters] or None)
    return load_model("inpaint", ref, device=CPU, dtype=torch.float32, offline=True, for_training=for_training)


def drawer(*captions: str) -> Callable[[np.random.Generator], Sample]:
    """Flat grounds; in the box a square of a caption's colour or, once in five times, nothing."""

    def draw(rng: np.random.Generator) -> Sample:
        pixels = np.tile(rng.integers(100, 200, 3).astype(np.uint8), (SIDE_PX, SIDE_PX, 1))
        mask = np.zeros((SIDE_PX, SIDE_PX), bool)
        mask[BOX, BOX] = True
        if rng.random() < 0.2:
            return Sample(pixels=pixels, mask=mask, caption="a photo")
        caption = captions[int(rng.integers(len(captions)))]
        pixels[BOX, BOX] = COLOURS[caption]
        return Sample(pixels=pixels, mask=mask, caption=caption)

    return draw


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint in the layout of Stable Diffusion 2 inpainting that can paint squares, but none in red."""

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
        recipe = UnetRecipe(batch_size=16, learning_rate=4e-3, ema_decay=0.98, samples=(48, 64), canvas_share=0.0)
        fit(
            [unet_learner(denoiser, Bank(drawer(*OTHERS), model.vae, 1, CPU), None, recipe)],
            Budget(steps=300),
            seed=0,
            device=CPU,
            batch_size=recipe.batch_size,
        )
        for name, part in parts.items():
            part.save_pretrained(folder / name)

    return made_once(tmp_path_factory, "tiny_painter", make)


def paint(model: DiffusionModel, caption: str) -> np.ndarray:
    """Mean colours (3, 3) of what is painted into the middle of three boxes on grounds that it never saw."""
    colours = []
    for number in range(3):
        ground = drawer(caption)(np.random.default_rng(1000 + number))
        [row] = encode_samples([ground], model.vae, CPU)
        noise = starting_noise([number], (SIDE_PX, SIDE_PX), model)
        latents = denoise(
            model,
            noise,
            model.embed_prompt(caption),
            model.embed_prompt(""),
            Masking(mask=row.mask[None].float(), latents=row.masked[None].float()),
            PaintingConfig(guidance_scale=1.0),
            noise.expand_as,
        )
        colours.append(to_pixels(decode(model, latents))[0, 24:40, 24:40].mean(axis=(0, 1)))
    return np.stack(colours)


def redness(colours: np.ndarray) -> np.ndarray:
    """Red over blue, in grey values."""
    return colours[:, 0] - colours[:, 2]


@pytest.mark.parametrize("text_encoder", [False, True])
def test_it_learns_a_shape_in_a_colour_that_it_could_not_paint(
    painter: Path, tmp_path: Path, text_encoder: bool
) -> None:
    model = load(painter, for_training=True)
    recipe = LoraRecipe(
        rank=8,
        alpha=8,
        text_encoder=text_encoder,
        gradient_checkpointing=False,
        prior_share=0.2,
        batch_size=16,
        learning_rate=1e-2,
        ema_decay=0.95,
        samples=(16, 32),
    )
    frozen = {name: value.clone() for name, value in model.unet.state_dict().items()}
    prior = [row for each in paint_prior(model, 4, ["red square"], 0) for row in encode_samples([each], model.vae, CPU)]
    denoiser = add_lora(model, recipe, seed=0)
    held_out = encode_samples([drawer(RED)(np.random.default_rng(500 + k)) for k in range(8)], model.vae, CPU)
    before = held_out_loss(denoiser, held_out, 0)
    learner = lora_learner(denoiser, Bank(drawer(RED), model.vae, 1, CPU), prior, recipe)
    fit([learner], Budget(steps=80), seed=0, device=CPU, batch_size=recipe.batch_size)
    assert held_out_loss(denoiser, held_out, 0) < before / 2
    save_lora(model, tmp_path)
    # By our config, its weights in those of the model; and by diffusers itself, beside them.
    ours = load(painter, tmp_path)
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(painter, safety_checker=None)
    pipeline.load_lora_weights(tmp_path)
    theirs = dataclasses.replace(load(painter), unet=pipeline.unet, text_encoder=pipeline.text_encoder)
    red = paint(ours, RED)
    np.testing.assert_allclose(paint(theirs, RED), red, atol=1.0)
    # By pixels: it was no red before, and is now.
    plain = load(painter)
    assert (redness(paint(plain, RED)) < 40).all()
    assert (redness(red) > 100).all()
    for name, value in frozen.items():
        torch.testing.assert_close(plain.unet.state_dict()[name], value)


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
    monkeypatch.setattr(run, "HELD_OUT_SAMPLES", 4)
    start = tmp_path / "start"
    start.mkdir()
    card = yaml.safe_load((Path(run.__file__).parents[2] / "generator/bundles/sd21/bundle.yaml").read_text())
    inpaint, background = str(tiny_sd21 / "inpaint"), str(tiny_sd21 / "background")
    card["models"] = {"inpaint": {"folder": inpaint}, "background": {"folder": background, "variant": "fp16"}}
    card["defaults"]["canvas"] = {"width": 96, "height": 64}
    (start / "bundle.yaml").write_text(yaml.safe_dump(card))
    photos, out = photos_of_discs(tmp_path), tmp_path / "out"

    def train(out: Path, listener: Listener | None = None) -> None:
        train_painter(photos, out, settings(), start=str(start), device=CPU, listener=listener)

    train(out)
    config = Config(bundle=str(out))
    files = [out / role / "pytorch_lora_weights.safetensors" for role in ("inpaint", "background")]
    for file in files:
        assert file.stat().st_size < 100_000
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
