"""Every part, tiny: it trains, goes on from its checkpoint, loads with the standard classes and can be measured."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, StableDiffusionInpaintPipeline
from PIL import Image
from safetensors import safe_open
from transformers import (
    BlipForConditionalGeneration,
    BlipProcessor,
    CLIPModel,
    CLIPProcessor,
    GPT2LMHeadModel,
    GPT2Tokenizer,
)

from generator.bundles import ModelRef
from generator.foundation.errors import BoxpaintError
from generator.painting.models import load_model
from training.pocket import blip, clip, gpt2, inpaint, vae
from training.pocket.inpaint import save_samples
from training.pocket.session import Session

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
VAE = vae.VaeRecipe(
    side_px=32, crop_sides_px=(110, 260), channels=(8, 8, 8, 8), norm_groups=4, batch_size=2,
    learning=replace(vae.VaeRecipe().learning, critic_channels=4),
)  # fmt: skip
INPAINT = inpaint.InpaintRecipe(
    channels=(8, 16), norm_groups=4, text_width=16, text_hidden=32, text_layers=1, text_heads=2, vocabulary=560,
    learning=replace(inpaint.InpaintRecipe().learning, batch_size=8, samples=(16, 48)),
)  # fmt: skip
GPT2 = gpt2.Gpt2Recipe(vocabulary=400, width=16, layers=1, heads=2, positions=32, batch_size=4)
CLIP = clip.ClipRecipe(
    side_px=16, width=16, layers=1, heads=2, text_width=16, text_layers=1, text_heads=2, projection=16, batch_size=4,
    vocabulary=560,
)  # fmt: skip
BLIP = blip.BlipRecipe(
    side_px=16, width=18, layers=1, heads=2, text_layers=1, text_heads=2, vocabulary=200, batch_size=4
)

Sessions = Callable[..., Session]


def steps_in(lines: list[str]) -> int:
    """Steps that the last line of a training tells of."""
    found = [re.search(r": (\d+) steps in .* loss (\S+)$", line) for line in lines]
    (last,) = [match for match in found if match][-1:]
    assert math.isfinite(float(last[2]))
    return int(last[1])


def train_twice(train: Callable[[float, Callable[[str], None]], None]) -> None:
    """Train, then go on with a larger session."""
    first: list[str] = []
    train(1.0, first.append)
    steps = steps_in(first)
    assert steps > 0
    assert not any("going on" in line for line in first)
    second: list[str] = []
    train(2.0, second.append)
    assert any(f"going on after {steps} steps" in line for line in second)
    assert steps_in(second) > steps


def weights_are_half(folder: Path) -> bool:
    (path,) = folder.glob("*.safetensors")
    with safe_open(path, "pt") as tensors:
        return {str(tensors.get_tensor(name).dtype) for name in tensors.keys()} <= {"torch.float16", "torch.int64"}  # noqa: SIM118


def test_the_vae(tmp_path: Path, session: Sessions) -> None:
    out = tmp_path / "inpaint" / "vae"
    train_twice(lambda seconds, say: vae.train(session(seconds, say), out, VAE))
    assert (out.parent / "vae.checkpoint.pt").exists()
    loaded = AutoencoderKL.from_pretrained(out)
    assert weights_are_half(out)
    assert loaded.config.scaling_factor != AutoencoderKL().config.scaling_factor
    numbers = vae.evaluate(session(), out)
    assert set(numbers) == {"VAE PSNR, unseen photos, dB", "VAE speckle kept"}
    assert 3 < numbers["VAE PSNR, unseen photos, dB"] < 60
    assert numbers["VAE speckle kept"] >= 0


def test_the_painter(tmp_path: Path, session: Sessions) -> None:
    out = tmp_path / "inpaint"
    with pytest.raises(BoxpaintError, match="there is no VAE"):
        inpaint.train(session(1.0), out, INPAINT)
    vae.train(session(0.5), out / "vae", VAE)
    train_twice(lambda seconds, say: inpaint.train(session(seconds, say), out, INPAINT))
    pipeline = StableDiffusionInpaintPipeline.from_pretrained(out)
    assert isinstance(pipeline.scheduler, DPMSolverMultistepScheduler)
    assert pipeline.scheduler.config.rescale_betas_zero_snr
    assert all(weights_are_half(out / part) for part in ("unet", "vae", "text_encoder"))
    model = load_model("inpaint", ModelRef(folder=str(out)), device=CPU, dtype=torch.float32, offline=True)
    assert (model.in_channels, model.native_px) == (9, 32)
    assert model.embed_prompt("a platelet").shape == (1, 32, 16)
    numbers = inpaint.evaluate(session(), out, samples=16)
    assert 0 < numbers["diffusion loss, unseen photos"] < 10
    assert inpaint.evaluate(session(), out, samples=16) == numbers
    save_samples(session(), out, tmp_path / "samples.png")
    # For each of three kinds six scenes, the same with a cell, and real ones; cells of 128 px with gaps of 4.
    assert Image.open(tmp_path / "samples.png").size == (6 * 132 + 4, 9 * 132 + 4)


def test_the_language_model(tmp_path: Path, session: Sessions) -> None:
    out = tmp_path / "gpt2"
    train_twice(lambda seconds, say: gpt2.train(session(seconds, say), out, GPT2))
    assert weights_are_half(out)
    model, tokenizer = GPT2LMHeadModel.from_pretrained(out), GPT2Tokenizer.from_pretrained(out)
    assert model.config.vocab_size == len(tokenizer)
    numbers = gpt2.evaluate(session(), out)
    assert "GPT-2 perplexity, held-out captions" in numbers
    assert 1 < numbers["GPT-2 perplexity, domain lines"] < 1000


def test_the_judge(tmp_path: Path, session: Sessions) -> None:
    out = tmp_path / "clip"
    train_twice(lambda seconds, say: clip.train(session(seconds, say), out, CLIP))
    assert weights_are_half(out)
    CLIPModel.from_pretrained(out)
    assert CLIPProcessor.from_pretrained(out).tokenizer.model_max_length == 32
    numbers = clip.evaluate(session(), out)
    assert 0 <= numbers["CLIP accuracy, four names"] <= 1


def test_the_captioner(tmp_path: Path, session: Sessions) -> None:
    out = tmp_path / "blip"
    train_twice(lambda seconds, say: blip.train(session(seconds, say), out, BLIP))
    assert weights_are_half(out)
    BlipForConditionalGeneration.from_pretrained(out)
    BlipProcessor.from_pretrained(out)
    numbers = blip.evaluate(session(), out)
    assert 0 <= numbers["BLIP exact class words"] <= 1
