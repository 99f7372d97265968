from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from detection.classifier.grad_cam import choose_cases, grad_cam
from detection.classifier.models import Classifier


@pytest.fixture()
def red_or_blue() -> Classifier:
    """A network that takes red for class 0 and blue for class 1."""
    model = Classifier("small", ("red", "blue"))
    kernel = torch.zeros(2, 3, 1, 1)
    kernel[0, 0], kernel[1, 2] = 1.0, 1.0
    layer = nn.Conv2d(3, 2, 1, bias=False)
    layer.weight.data = kernel
    model.network.features = nn.Sequential(layer)
    model.network.fc = nn.Linear(2, 2, bias=False)
    model.network.fc.weight.data = torch.eye(2)
    model.mean.zero_()
    model.std.fill_(1.0)
    return model


def test_heat_lies_where_the_class_is_seen(red_or_blue: Classifier) -> None:
    pixels = torch.zeros(2, 3, 8, 8)
    pixels[:, 0, :4, :4] = 1.0
    pixels[:, 2, 6:, 6:] = 0.5
    heat = grad_cam(red_or_blue, pixels, torch.tensor([0, 1]))
    assert heat.shape == (2, 8, 8)
    expected = torch.zeros(2, 8, 8)
    expected[0, :4, :4] = 1.0
    expected[1, 6:, 6:] = 1.0
    assert torch.allclose(heat, expected)


def test_what_only_speaks_against_a_class_is_cold(red_or_blue: Classifier) -> None:
    red_or_blue.network.fc.weight.data = -torch.eye(2)
    assert not grad_cam(red_or_blue, torch.rand(1, 3, 8, 8), torch.tensor([0])).any()
    assert not red_or_blue.cam_layer._forward_hooks


def test_cases_are_right_ones_from_sure_to_unsure_and_the_surest_wrong_ones() -> None:
    first = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.1, 0.2])
    labels = np.array([0, 0, 0, 0, 0, 0, 1])
    cases = choose_cases(labels, np.stack([first, 1 - first], axis=1), each=2)
    assert cases == [(0, True), (3, True), (5, False), (4, False), (6, True)]
