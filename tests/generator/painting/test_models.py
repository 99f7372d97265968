import shutil
from pathlib import Path

import pytest
import torch

from generator.bundles import ModelRef
from generator.foundation.errors import ModelError, ModelNotFoundError
from generator.painting.models import load_model

CPU = torch.device("cpu")


def load(folder: Path, *, variant: str | None = None):
    ref = ModelRef(folder=str(folder), variant=variant)
    return load_model("inpaint", ref, device=CPU, dtype=torch.float32, offline=True)


def test_the_fp16_variant_is_found_and_computed_in_the_wished_format(tiny_sd21: Path) -> None:
    assert (tiny_sd21 / "background" / "unet" / "diffusion_pytorch_model.fp16.safetensors").exists()
    model = load(tiny_sd21 / "background", variant="fp16")
    assert model.in_channels == 4
    assert next(model.unet.parameters()).dtype == torch.float32
    scheduler = model.new_scheduler()
    assert scheduler.config.prediction_type == "v_prediction"
    # Of another kind, it becomes DPM-Solver++ on the same schedule.
    assert (type(scheduler).__name__, scheduler.config.beta_start) == ("DPMSolverMultistepScheduler", 0.00085)
    assert scheduler.config.algorithm_type == "dpmsolver++"


def test_plain_files_are_loaded_where_there_is_no_variant(tiny_sd21: Path) -> None:
    model = load(tiny_sd21 / "inpaint", variant="fp16")
    assert model.in_channels == 9
    assert model.new_scheduler().config.prediction_type == "epsilon"
    # Latents of 8 x 8, an eighth of the picture; two UNet blocks halve once.
    assert (model.native_px, model.vae_scale, model.size_multiple) == (64, 8, 16)


def test_prompts_are_embedded_once(tiny_sd21: Path) -> None:
    model = load(tiny_sd21 / "inpaint")
    first = model.embed_prompt("a platelet")
    assert first.shape == (1, 32, 32)
    assert model.embed_prompt("a platelet") is first
    assert not torch.equal(first, model.embed_prompt("a white blood cell"))


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        (ModelRef(folder="/nowhere/at/all"), ["/nowhere/at/all"]),
        (ModelRef(id="nobody/no-such-model"), ["offline: true", "offline: false"]),
        (ModelRef(id="not a repository"), ["not a repository"]),
    ],
)
def test_a_missing_model_says_which_setting_to_change(ref: ModelRef, words: list[str]) -> None:
    with pytest.raises(ModelNotFoundError) as error:
        load_model("inpaint", ref, device=CPU, dtype=torch.float32, offline=True)
    for word in ("models.inpaint.folder", *words):
        assert word in str(error.value)


def test_a_damaged_weight_file_is_one_clear_error(tiny_sd21: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(tiny_sd21 / "inpaint", tmp_path / "broken")
    (broken / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="broken"):
        load(broken)
