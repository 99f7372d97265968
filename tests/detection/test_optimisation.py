from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from detection.optimisation import decayed_groups, finite, rate_share, read_checkpoint, save_checkpoint
from generator.errors import BoxpaintError, ModelError

CPU = torch.device("cpu")


def test_the_rate_rises_and_falls() -> None:
    assert [round(rate_share(step, 40, 2), 2) for step in (0, 1, 2, 21, 39)] == [0.5, 1.0, 1.0, 0.5, 0.0]
    assert rate_share(0, 1, 1) == rate_share(0, 1, 0) == 1.0


def test_biases_norms_and_frozen_weights_do_not_decay() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    model[2].requires_grad_(False)
    decayed, free = decayed_groups(model.parameters(), 0.1)
    assert [tuple(each.shape) for each in decayed["params"]] == [(2, 3)]
    assert decayed["weight_decay"] == 0.1
    assert [tuple(each.shape) for each in free["params"]] == [(2,), (2,), (2,)]
    assert free["weight_decay"] == 0.0


def test_a_broken_loss_is_said() -> None:
    assert finite(torch.tensor(0.5), 0.1) == 0.5
    with pytest.raises(ModelError, match=r"the loss became nan.*below 0\.1"):
        finite(torch.tensor(float("nan")), 0.1)


def test_a_checkpoint_comes_back_and_only_to_its_own_training(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    assert read_checkpoint(path, {"seed": 1}, CPU) is None
    save_checkpoint(path, {"seed": 1}, {"step": 3, "weights": {"a": torch.ones(2)}})
    state = read_checkpoint(path, {"seed": 1}, CPU)
    assert state is not None
    assert state["step"] == 3
    assert torch.equal(state["weights"]["a"], torch.ones(2))
    with pytest.raises(BoxpaintError, match="differs in seed"):
        read_checkpoint(path, {"seed": 2}, CPU)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(BoxpaintError, match="cannot be read"):
        read_checkpoint(path, {"seed": 1}, CPU)
