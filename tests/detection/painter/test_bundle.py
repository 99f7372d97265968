"""The card of a trained painter is one that a config, a spec and a prompt book can use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detection.painter.bundle import grain_of, palest_contrast, write_card
from detection.painter.wording import PlainWording
from generator.bundles import load_card
from generator.config import Config
from generator.foundation.errors import DomainError
from generator.spec import load_spec
from tests.conftest import POCKET
from tests.detection.painter.squares import photo, square

PHOTOS = [
    photo(
        *(replace(square("Dead Cell", 6 + 40 * n, 10, 20), size="small") for n in range(3)), square("wall", 50, 60, 20)
    )
]
CLASSES = "prompt,min_appear,max_appear,name\n"


def card(folder: Path) -> Config:
    models = {"inpaint": {"folder": str(POCKET)}, "background": None, "clip": None}
    wording = PlainWording(scene="a quiet place")
    write_card(folder, load_card("pocket"), PHOTOS, ["Dead Cell", "wall"], wording, (128, 96), models, noise=2.345)
    return Config(bundle=str(folder))


def test_a_config_takes_canvas_words_and_limits_from_it(tmp_path: Path) -> None:
    config = card(tmp_path)
    assert config.canvas_wh == (128, 96)
    assert config.card.classes == {"Dead Cell": {"size": ("small",)}, "wall": {}}
    assert config.card.scene == "a quiet place"
    assert (config.painting.sensor_noise, config.prompts.enrich) == (2.35, "none")
    assert config.painting.background_negative_prompt == "a Dead Cell and a wall"
    assert 0 < config.labels.min_contrast < palest_contrast(PHOTOS, ["Dead Cell", "wall"])


@pytest.mark.parametrize(("prompt", "is_known"), [("a Dead Cell, small", True), ("a wall", True), ("a tree", False)])
def test_it_knows_what_it_was_taught_and_nothing_else(tmp_path: Path, prompt: str, is_known: bool) -> None:
    config = card(tmp_path)
    (tmp_path / "background.csv").write_text("prompt,num_imgs\na quiet place,1\n")
    (tmp_path / "classes.csv").write_text(f'{CLASSES}"{prompt}",1,1,it\n')
    spec = load_spec(tmp_path / "background.csv", tmp_path / "classes.csv", canvas_wh=config.canvas_wh)
    if is_known:
        assert config.check_domain(spec) == []
        return
    with pytest.raises(DomainError, match="paints Dead Cell and wall, as in the photos"):
        config.check_domain(spec)


@pytest.mark.parametrize("sigma", [0.0, 2.0, 6.0])
def test_grain_is_measured_beside_edges(sigma: float) -> None:
    rng, picture = np.random.default_rng(0), photo(square("wall", 40, 30, 30)).image.astype(float)
    noisy = picture + sigma * rng.standard_normal((96, 128, 1))
    assert grain_of(noisy) == pytest.approx(sigma, abs=0.3)
