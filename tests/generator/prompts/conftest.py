from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generator.config import Config


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder: not there yet."""
    folder = tmp_path_factory.mktemp("home") / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture()
def config_of(tiny_language_models: Path) -> Callable[..., Config]:
    """Return a function: keys of the section prompts -> a config of sd21 with the tiny models, which keeps nearly all.

    `models` and `seed` go to the config itself.
    """

    def make(*, seed: int = 0, models: dict[str, object] | None = None, **prompts: object) -> Config:
        folders = {"captioner": "blip", "enricher": "gpt2", "embedder": "sentences", "clip": "clip"}
        refs = {role: {"folder": str(tiny_language_models / name)} for role, name in folders.items()}
        lax = {"variants": 4, "min_similarity": -1.0, "max_similarity": 1.0, "max_words": 12}
        return Config(
            bundle="sd21",
            device="cpu",
            offline=True,
            seed=seed,
            canvas={"width": 96, "height": 64},
            models={**refs, **(models or {})},
            prompts={**lax, **prompts},
        )

    return make


@pytest.fixture()
def photo() -> Callable[..., Path]:
    """Return a function: path, number -> the path, with a photo of that number (its pixels) in it."""

    def put(path: Path, number: int) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = io.BytesIO()
        pixels = np.random.default_rng(number).integers(0, 256, (20, 30, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(stream, "PNG")
        path.write_bytes(stream.getvalue())
        return path

    return put
