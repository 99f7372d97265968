from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from generator.bundles import BUNDLES
from generator.foundation.geometry import Box
from generator.painting.diffusion import encode
from generator.painting.models import DiffusionModel
from training.pocket.samples import (
    MAX_STAIN,
    Sample,
    SampleRecipe,
    StainedSmear,
    caption_view,
    cells_over,
    draw_sample,
    fill_bank,
    load_bank,
    measure_stain,
    remove_bank,
    save_bank,
)
from training.pocket.smears import Cell, Smear, measure_limits, read_smears, with_attributes

RED = Cell(kind="red blood cell", box=Box.from_xywh(5, 5, 20, 20))
VIEW = Box.from_xywh(0, 0, 50, 50)
CPU = torch.device("cpu")


def photo(*cells: Cell, stain: float = 0.0) -> StainedSmear:
    smear = Smear(name="a", image=np.zeros((100, 100, 3), np.uint8), cells=cells)
    return StainedSmear(smear=smear, stain=np.full((100, 100), stain, np.float32))


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        pytest.param((8, 16, 24, 32), (8, 16, 24, 32), id="on the grid"),
        pytest.param((10, 10, 20, 30), (8, 8, 24, 32), id="rounded outwards"),
        pytest.param((-5, -5, 70, 90), (0, 0, 64, 64), id="beyond the crop"),
        pytest.param((63.5, 63.5, 64, 64), (56, 56, 64, 64), id="one cell at least"),
    ],
)
def test_masks_are_whole_cells_of_the_latents(edges, expected) -> None:
    assert cells_over(edges, Box.from_xywh(0, 0, 64, 64), 64).xyxy == expected


def test_masks_follow_the_scale_and_place_of_the_crop() -> None:
    # A crop of 128 px at (100, 50), seen at 64 px: the box's edges are at 10 and 20 of 64.
    assert cells_over((120, 70, 140, 90), Box.from_xywh(100, 50, 128, 128), 64).xyxy == (8, 8, 24, 24)


@pytest.mark.parametrize(
    ("shown", "stain", "named"),
    [
        pytest.param((), 0.0, (), id="red cells only"),
        pytest.param((("platelet", 30, 30),), 90.0, ("platelet",), id="a platelet in view"),
        pytest.param((("white blood cell", 80, 80),), 0.0, (), id="a white cell out of view"),
    ],
)
def test_scenes_are_captioned_with_what_is_in_view(shown, stain: float, named: tuple[str, ...]) -> None:
    others = [Cell(kind=kind, box=Box.from_xywh(x, y, 10, 10)) for kind, x, y in shown]
    for seed in range(20):
        caption = caption_view(photo(RED, *others, stain=stain), VIEW, np.random.default_rng(seed))
        assert caption is not None
        assert [kind for kind in ("white blood cell", "platelet") if f"a {kind}" in caption] == list(named)
        if named:
            assert "only" not in caption
            assert "no white" not in caption


@pytest.mark.parametrize(
    ("cells", "stain"),
    [
        pytest.param((), 0.0, id="no red cell"),
        pytest.param((RED, Cell(kind="platelet", box=Box.from_xywh(47, 10, 10, 10))), 0.0, id="a sliver of a platelet"),
        pytest.param((RED,), MAX_STAIN + 1, id="a stain without a label"),
    ],
)
def test_a_view_of_which_nothing_true_can_be_said_has_no_caption(cells, stain: float) -> None:
    assert caption_view(photo(*cells, stain=stain), VIEW, np.random.default_rng(0)) is None


def test_stain_is_high_in_stained_cells_and_low_elsewhere(bccd: Path) -> None:
    (smear, *_) = read_smears(bccd, ("train",))
    stain = measure_stain(smear).stain
    for cell in smear.cells:
        x, y = (cell.box.x_min + cell.box.x_max) // 2, (cell.box.y_min + cell.box.y_max) // 2
        assert (stain[y, x] > MAX_STAIN) == (cell.kind != "red blood cell")


def test_samples_follow_their_seed_and_are_what_they_say(bccd: Path) -> None:
    smears = read_smears(bccd, ("train", "val"))
    photos = [measure_stain(smear) for smear in with_attributes(smears, measure_limits(smears))]
    whole = 0
    for seed in range(60):
        sample, again = (draw_sample(photos, 64, SampleRecipe(), np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(sample.pixels, again.pixels)
        assert sample.caption == again.caption
        assert sample.pixels.shape == (64, 64, 3)
        cells = sample.mask.reshape(8, 8, 8, 8).mean(axis=(1, 3))
        assert set(np.unique(cells)) <= {0.0, 1.0}
        assert cells.any()
        whole += bool(cells.all())
        # Purple is blue above green by far: nothing of it where the caption has no stained cell.
        purple = (sample.pixels[..., 2].astype(int) - sample.pixels[..., 1] > 50) & sample.mask
        names_one = "a white blood cell" in sample.caption or "platelet" in sample.caption
        names_one = names_one or sample.caption.endswith(" white blood cell")
        assert names_one == bool(purple.any()), sample.caption
    assert 8 <= whole <= 30


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
