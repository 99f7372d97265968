"""Losses and figures of the VAE and the UNet, where they can be worked by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from detection.painter.samples import Encoded
from detection.painter.unet import Denoiser, UnetRecipe, held_out_loss, weights_of
from detection.painter.vae import gradient_loss, psnr, reconstruct, set_scale, tie_channels, vary_light
from tests.detection.painter.squares import photo, square

CPU = torch.device("cpu")


class Silent:
    """A UNet that predicts 0."""

    config = SimpleNamespace(in_channels=9)

    def __call__(self, seen: torch.Tensor, *_: object, **__: object) -> tuple[torch.Tensor]:
        return (torch.zeros(len(seen), 4, *seen.shape[2:]),)


@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon"])
@pytest.mark.parametrize("shown", [1.0, 0.5])
def test_who_predicts_nothing_has_a_loss_of_one(prediction: str, shown: float) -> None:
    tokenizer: Any = lambda texts, **_: SimpleNamespace(input_ids=torch.zeros(len(texts), 1, dtype=torch.long))  # noqa: E731
    tokenizer.model_max_length = 1
    denoiser = Denoiser(
        unet=Silent(),
        text_encoder=lambda ids: (torch.zeros(len(ids), 1, 1),),
        tokenizer=tokenizer,
        levels=torch.linspace(0.99, 0.01, 100),
        prediction_type=prediction,
    )
    latents = torch.randn(40, 4, 8, 8, generator=torch.Generator().manual_seed(0)).half()
    mask = torch.zeros(1, 8, 8).half()
    mask[:, 2:6, 2:6] = 1
    visible = torch.ones(1, 8, 8).half()
    visible[:, : round(8 * (1 - shown))] = 0  # what is hidden counts neither way
    rows = [Encoded(latents=each, masked=each, mask=mask, shown=visible, caption="") for each in latents]
    assert held_out_loss(denoiser, rows, seed=1) == pytest.approx(1.0, abs=0.1)


def test_weights_are_those_of_min_snr_and_never_nothing() -> None:
    levels = torch.tensor([0.001, 0.5, 0.999])
    assert weights_of(levels, UnetRecipe()).tolist() == pytest.approx([0.1, 0.5, 0.1])
    assert weights_of(levels, UnetRecipe(least_weight=0.0))[2] == pytest.approx(5 / 1000, rel=0.01)


@pytest.fixture(scope="module")
def vae() -> Any:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    ).eval()


def test_tied_channels_paint_grey(vae: Any) -> None:
    picture = photo(square("wall", 40, 30, 30)).image
    assert not np.ptp(reconstruct(vae, picture, CPU), axis=2).max() < 1e-3
    tie_channels(vae)
    assert np.ptp(reconstruct(vae, picture, CPU), axis=2).max() < 1e-3


def test_latents_are_scaled_to_a_deviation_of_one(vae: Any) -> None:
    std = set_scale(vae, [photo(square("wall", 40, 30, 30)).image], CPU)
    assert vae.config.scaling_factor == pytest.approx(1 / std)


def test_light_varies_and_grey_stays_grey() -> None:
    grey = torch.full((4, 3, 8, 8), 0.2)
    varied = vary_light(grey)
    assert (varied.amax(1) - varied.amin(1)).max() < 1e-6
    assert (varied - grey).abs().max() > 1e-3
    coloured = grey.clone()
    coloured[:, 0] = 0.8
    assert (vary_light(coloured)[:, 1] - vary_light(coloured)[:, 2]).abs().max() > 1e-3


def test_figures_by_hand() -> None:
    class Mute:
        """Gives back mid grey."""

        def encode(self, pictures: torch.Tensor) -> Any:
            return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: pictures))

        def decode(self, latents: torch.Tensor) -> Any:
            return SimpleNamespace(sample=torch.zeros_like(latents))

    # 127.5 grey values off: 20 log10(255 / 127.5) = 6.02 dB.
    assert psnr(Mute(), [np.zeros((8, 8, 3), np.uint8)], CPU) == pytest.approx(6.0206, abs=1e-3)
    step = torch.zeros(1, 1, 8, 8)
    step[..., 4:] = 1
    # One of seven differences across is 1, at half size one of three, at quarter size the only one.
    assert float(gradient_loss(step, torch.zeros_like(step))) == pytest.approx(1 / 7 + 1 / 3 + 1)
