from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from generator.bundles import BUNDLES
from generator.painting.diffusion import encode
from generator.painting.models import DiffusionModel
from training.pocket.samples import Sample, fill_bank, load_bank, remove_bank, save_bank

CPU = torch.device("cpu")


def two_samples() -> list[Sample]:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    masks = np.zeros((2, 32, 32), bool)
    masks[0, 8:16, 8:24] = True
    masks[1] = True
    return [
        Sample(pixels=p, mask=m, caption=f"caption {i}") for i, (p, m) in enumerate(zip(pixels, masks, strict=True))
    ]


def test_samples_are_encoded_as_the_painter_encodes_them() -> None:
    vae = AutoencoderKL.from_pretrained(BUNDLES["pocket"] / "inpaint" / "vae", dtype=torch.float32).eval()
    samples = two_samples()
    bank = fill_bank(iter(samples), vae, CPU, size=2, seconds=60, say=print)
    assert bank.captions == ["caption 0", "caption 1"]
    assert bank.latents.dtype == torch.float16
    # The mask covers row 1 and columns 1 and 2 of the first picture's 4 x 4 latents, all of the second's.
    assert bank.masks[0, 0].nonzero().tolist() == [[1, 1], [1, 2]]
    assert bank.masks[1].all()
    model = DiffusionModel(
        role="inpaint",
        unet=None,
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        scheduler_config={},
        device=CPU,
        dtype=torch.float32,
    )
    image = torch.from_numpy(samples[0].pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    mask = torch.from_numpy(samples[0].mask)[None, None].float()
    # Half precision, and bfloat16 where the CPU computes in it.
    torch.testing.assert_close(bank.masked[:1].float(), encode(model, image * (1 - mask)), atol=0.1, rtol=0.05)
    torch.testing.assert_close(bank.masked[1:].float(), encode(model, torch.zeros(1, 3, 32, 32)), atol=0.1, rtol=0.05)


def test_a_bank_is_read_again_unless_it_was_made_from_something_else(tmp_path: Path) -> None:
    vae = AutoencoderKL.from_pretrained(BUNDLES["pocket"] / "inpaint" / "vae", dtype=torch.float32).eval()
    bank = fill_bank(iter(two_samples()), vae, CPU, size=1, seconds=60, say=print)
    path = tmp_path / "bank.safetensors"
    assert load_bank(path, {"seed": "0"}, CPU) is None
    save_bank(bank, path, {"seed": "0", "sides": "(1, 2)"})
    again = load_bank(path, {"seed": "0", "sides": "(1, 2)"}, CPU)
    assert again is not None
    assert (again.captions, again.seconds) == (bank.captions, bank.seconds)
    assert torch.equal(again.masked, bank.masked)
    assert load_bank(path, {"seed": "1", "sides": "(1, 2)"}, CPU) is None
    remove_bank(path)
    assert list(tmp_path.iterdir()) == []
