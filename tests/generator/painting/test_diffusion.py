from pathlib import Path

import numpy as np
import pytest
import torch

from generator.bundles import ModelRef
from generator.config import Config, PaintingConfig
from generator.painting.diffusion import Masking, decode, denoise, encode, starting_noise
from generator.painting.models import load_model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pocket():
    return load_model("inpaint", Config().models.inpaint, device=CPU, dtype=torch.float32, offline=True)


def test_noise_belongs_to_the_seed_not_to_the_row(pocket) -> None:
    together = starting_noise([5, 6], (4, 8, 8), pocket)
    assert torch.equal(together[1:], starting_noise([6], (4, 8, 8), pocket))


def test_guidance_is_paid_for_only_inside_its_interval(pocket, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    real = pocket.unet.forward
    monkeypatch.setattr(pocket.unet, "forward", lambda x, *a, **k: rows.append(len(x)) or real(x, *a, **k))
    noise = starting_noise([1], (4, 8, 8), pocket)
    words = pocket.embed_prompt("a platelet")
    masked = torch.zeros(1, 4, 8, 8)

    masking = Masking(mask=torch.ones(1, 1, 8, 8), latents=masked)
    # Four trailing steps have the noise levels 1, 0.75, 0.5 and 0.25: two of them are guided.
    settings = PaintingConfig(steps=4, guidance_scale=3.0, guidance_interval=(0.4, 0.8))
    denoise(pocket, noise, words, words, masking, settings)
    assert rows == [1, 2, 2, 1]


def test_the_vae_gives_back_what_it_was_given(pocket) -> None:
    # A pink disc on a pale ground: the pocket's VAE knows only such pictures.
    y, x = np.mgrid[:64, :64]
    disc = np.hypot(x - 32, y - 32) < 20
    picture = np.where(disc[None], np.array([0.5, 0.2, 0.2])[:, None, None], np.array([0.7, 0.7, 0.6])[:, None, None])
    given = torch.from_numpy(picture).float()[None]
    again = decode(pocket, encode(pocket, given))
    assert again.shape == (1, 3, 64, 64)
    assert float((again - given).abs().mean()) < 0.06


def test_a_four_channel_model_keeps_what_is_not_masked(tiny_sd21: Path) -> None:
    ref = ModelRef(folder=str(tiny_sd21 / "background"), variant="fp16")
    model = load_model("inpaint", ref, device=CPU, dtype=torch.float32, offline=True)
    kept = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:6, 2:6] = 1
    words = model.embed_prompt("a platelet")
    painted = denoise(
        model,
        starting_noise([3], (4, 8, 8), model),
        words,
        words,
        Masking(mask=mask, latents=kept),
        PaintingConfig(steps=3),
    )
    outside = (mask < 0.5).expand_as(kept)
    assert torch.equal(painted[outside], kept[outside])
    assert not torch.allclose(painted[~outside], kept[~outside], atol=0.1)


def test_the_loop_agrees_with_the_pipeline_of_diffusers(tiny_sd21: Path) -> None:
    """With guidance at every step, DPM-Solver++ and the same noise, both paint the same latents."""
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    model = load_model(
        "background",
        ModelRef(folder=str(tiny_sd21 / "background"), variant="fp16"),
        device=CPU,
        dtype=torch.float32,
        offline=True,
    )
    pipeline = StableDiffusionPipeline.from_pretrained(
        tiny_sd21 / "background", variant="fp16", dtype=torch.float32, safety_checker=None
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    noise = starting_noise([7], (4, 8, 8), model)
    expected = pipeline(
        "a blood smear",
        negative_prompt="a platelet",
        num_inference_steps=5,
        guidance_scale=4.0,
        latents=noise.clone(),
        height=64,
        width=64,
        output_type="latent",
    ).images
    settings = PaintingConfig(steps=5, guidance_scale=4.0, guidance_interval=(0.0, 1.0))
    ours = denoise(model, noise, model.embed_prompt("a blood smear"), model.embed_prompt("a platelet"), None, settings)
    assert torch.allclose(ours, expected, atol=1e-3)
