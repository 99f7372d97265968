from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from generator.bundles import ModelRef
from generator.config import Config, PaintingConfig
from generator.painting.diffusion import Masking, decode, denoise, encode, starting_noise
from generator.painting.models import DiffusionModel, guidance_embedding, load_model


def load(ref: ModelRef) -> DiffusionModel:
    return load_model("inpaint", ref, device=torch.device("cpu"), dtype=torch.float32, offline=True)


@pytest.fixture(scope="module")
def pocket() -> DiffusionModel:
    return load(Config().models.inpaint)


@pytest.fixture(scope="module")
def four_channels(tiny_sd21: Path) -> DiffusionModel:
    return load(ModelRef(folder=str(tiny_sd21 / "background"), variant="fp16"))


def no_more(_step: int) -> torch.Tensor:
    raise AssertionError("this sampler asks for no further noise")


def test_noise_belongs_to_the_seed_not_to_the_row(pocket) -> None:
    together = starting_noise([5, 6], (64, 64), pocket)
    assert torch.equal(together[1:], starting_noise([6], (64, 64), pocket))


def test_guidance_is_paid_for_only_inside_its_interval(pocket, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    real = pocket.unet.forward
    monkeypatch.setattr(pocket.unet, "forward", lambda x, *a, **k: rows.append(len(x)) or real(x, *a, **k))
    noise = starting_noise([1], (64, 64), pocket)
    words = pocket.embed_prompt("a platelet")
    masked = torch.zeros(1, 4, 8, 8)

    masking = Masking(mask=torch.ones(1, 1, 8, 8), latents=masked)
    # Four trailing steps have the noise levels 1, 0.75, 0.5 and 0.25: two of them are guided.
    settings = PaintingConfig(steps=4, guidance_scale=3.0, guidance_interval=(0.4, 0.8))
    denoise(pocket, noise, words, words, masking, settings, no_more)
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


@pytest.mark.parametrize("sampler", ["dpm", "consistency"])
def test_a_four_channel_model_keeps_what_is_not_masked(four_channels: DiffusionModel, sampler: str) -> None:
    kept = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:6, 2:6] = 1
    words, noise = four_channels.embed_prompt("a platelet"), starting_noise([3], (64, 64), four_channels)
    settings, masking = PaintingConfig(steps=3, sampler=sampler), Masking(mask=mask, latents=kept)
    more = no_more if sampler == "dpm" else lambda _: noise
    painted = denoise(four_channels, noise, words, words, masking, settings, more)

    outside = (mask < 0.5).expand_as(kept)
    assert torch.equal(painted[outside], kept[outside])
    assert not torch.allclose(painted[~outside], kept[~outside], atol=0.1)


def test_the_loop_agrees_with_the_pipeline_of_diffusers(tiny_sd21: Path, four_channels: DiffusionModel) -> None:
    """With guidance at every step, DPM-Solver++ and the same noise, both paint the same latents."""
    from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(
        tiny_sd21 / "background", variant="fp16", dtype=torch.float32, safety_checker=None
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    noise = starting_noise([7], (64, 64), four_channels)
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
    words, negatives = four_channels.embed_prompt("a blood smear"), four_channels.embed_prompt("a platelet")
    ours = denoise(four_channels, noise, words, negatives, None, settings, no_more)
    assert torch.allclose(ours, expected, atol=1e-3)


class Teller:
    """A UNet that knows the picture, and predicts the noise, or velocity, that leads to it."""

    def __init__(self, model: DiffusionModel, picture: torch.Tensor, prediction_type: str):
        self.config = SimpleNamespace(in_channels=4, time_cond_proj_dim=None)
        self.shares = model.new_scheduler().alphas_cumprod
        self.picture, self.prediction_type = picture, prediction_type
        self.asked: list[int] = []

    def __call__(self, x: torch.Tensor, timestep: torch.Tensor, *_: object, **__: object) -> tuple[torch.Tensor]:
        self.asked.append(int(timestep))
        signal, noisy = self.shares[timestep] ** 0.5, (1 - self.shares[timestep]) ** 0.5
        noise = (x - signal * self.picture) / noisy
        return (noise if self.prediction_type == "epsilon" else signal * noise - noisy * self.picture,)


@pytest.mark.parametrize(("role", "prediction_type"), [("background", "v_prediction"), ("inpaint", "epsilon")])
def test_few_steps_of_a_model_that_knows_the_picture_end_at_it(
    role: str, prediction_type: str, tiny_sd21: Path
) -> None:
    model = load(ModelRef(folder=str(tiny_sd21 / role), variant="fp16"))
    picture = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    teller = Teller(model, picture, prediction_type)
    known = replace(model, unet=teller)
    noise = starting_noise([1, 2], (64, 64), model)
    words = model.embed_prompt("a platelet").expand(2, -1, -1)
    drawn: list[int] = []
    settings = PaintingConfig(sampler="consistency", steps=4, guidance_scale=1.0)
    found = denoise(known, noise, words, words, None, settings, lambda step: drawn.append(step) or noise.flip(0))
    torch.testing.assert_close(found, picture, atol=1e-3, rtol=1e-3)
    # SD-Turbo's own four levels; new noise between them.
    assert (teller.asked, drawn) == ([999, 749, 499, 249], [1, 2, 3])


def test_a_guidance_scale_is_embedded_as_the_pipeline_of_diffusers_does() -> None:
    from diffusers import LatentConsistencyModelPipeline

    embed = LatentConsistencyModelPipeline.get_guidance_scale_embedding
    expected = embed(None, torch.tensor([7.5 - 1]), embedding_dim=32)
    torch.testing.assert_close(guidance_embedding(7.5, 32), expected, atol=1e-3, rtol=1e-3)


def test_a_model_that_knows_guidance_is_told_it_and_asked_once(
    four_channels: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_config({**four_channels.unet.config, "time_cond_proj_dim": 16}).eval()
    model = replace(four_channels, unet=unet)
    rows: list[tuple[int, float]] = []
    real = unet.forward

    def forward(x: torch.Tensor, *rest: object, timestep_cond: torch.Tensor, **more: object) -> object:
        rows.append((len(x), float(timestep_cond[0, -1])))
        return real(x, *rest, timestep_cond=timestep_cond, **more)

    monkeypatch.setattr(unet, "forward", forward)
    words, noise = model.embed_prompt("a platelet"), starting_noise([1, 2], (64, 64), model)
    settings = PaintingConfig(sampler="consistency", steps=2, guidance_scale=8.0, guidance_interval=(0.0, 1.0))
    both = words.expand(2, -1, -1)
    denoise(model, noise, both, both, None, settings, lambda _: noise)
    assert rows == [(2, float(guidance_embedding(8.0, 16)[0, -1]))] * 2
