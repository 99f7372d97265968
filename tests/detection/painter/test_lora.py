"""A LoRA learns what a painter could not paint; diffusers reads it as our config does."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from detection.painter import run
from detection.painter.run import train_painter
from detection.painter.settings import Listener, LoraSettings, PainterSettings
from generator.config import Config
from generator.foundation.stopping import Stopped
from tests.detection.discs import disc_set

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")


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
