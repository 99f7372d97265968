"""CLIP's answers for a picture depend on that picture alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from generator.config import Config
from generator.foundation.vision_language import Clip


@pytest.fixture(scope="module")
def clip() -> Clip:
    ref = Config().models.clip
    assert ref is not None
    return Clip("clip", ref, device=torch.device("cpu"), offline=True)


def test_a_picture_is_the_same_in_any_company(clip: Clip) -> None:
    rng = np.random.default_rng(0)
    shapes = [(64, 64, 3), (64, 64, 3), (3, 40, 3), (100, 30, 3), (64, 64, 3)] * 4
    pictures = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    together = clip.embed_pictures(pictures)
    assert together.shape == (20, clip.model.config.projection_dim)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([clip.embed_pictures([picture]) for picture in pictures])
    assert np.array_equal(together, alone)
    assert np.array_equal(clip.embed_pictures(pictures[::-1])[::-1], together)


def test_no_pictures_are_no_rows(clip: Clip) -> None:
    assert clip.embed_pictures([]).shape == (0, clip.model.config.projection_dim)
