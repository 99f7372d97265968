"""Kept features: exact where nothing has changed, whole where they must be."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from generator.config import Config
from generator.painting.feature_cache import FeatureCache
from generator.painting.models import DiffusionModel, load_model


@pytest.fixture(scope="module")
def pocket() -> DiffusionModel:
    cpu = torch.device("cpu")
    return load_model("inpaint", Config().models.inpaint, device=cpu, dtype=torch.float32, offline=True)


@torch.inference_mode()
def test_the_outer_blocks_over_fresh_features_say_what_the_whole_says(pocket: DiffusionModel) -> None:
    x = torch.randn(1, 9, 8, 8, generator=torch.Generator().manual_seed(1))
    words, at = pocket.embed_prompt("a platelet"), torch.tensor(500)
    cache = FeatureCache(pocket.unet, 2)
    whole, again = cache(x, at, words, None), cache(x, at, words, None)
    torch.testing.assert_close(again, whole, atol=1e-5, rtol=1e-5)
    expected = pocket.unet(x, at, words, return_dict=False)[0]
    torch.testing.assert_close(whole, expected)


@torch.inference_mode()
def test_the_inner_blocks_are_computed_every_so_often_and_for_another_batch(
    pocket: DiffusionModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    real = pocket.unet.mid_block.forward
    monkeypatch.setattr(pocket.unet.mid_block, "forward", lambda x, *a, **k: rows.append(len(x)) or real(x, *a, **k))
    cache = FeatureCache(pocket.unet, 3)
    words, at = pocket.embed_prompt("a platelet"), torch.tensor(500)
    for count in (1, 1, 1, 1, 2, 2):
        cache(torch.zeros(count, 9, 8, 8), at, words.expand(count, -1, -1), None)
    # The first, the fourth, and the one with two rows.
    assert rows == [1, 1, 2]


def test_there_must_be_a_step_to_skip_and_a_block_to_keep() -> None:
    with pytest.raises(ValueError, match="a step to skip"):
        FeatureCache(SimpleNamespace(up_blocks=[1, 2]), 1)
    with pytest.raises(ValueError, match="two blocks"):
        FeatureCache(SimpleNamespace(up_blocks=[1]), 2)
