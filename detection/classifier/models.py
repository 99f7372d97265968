"""The networks, and where their first weights come from. A new one is one entry of MODELS. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torchvision.models import ResNet18_Weights, ResNet50_Weights, resnet18, resnet50

from detection.detectors.architectures import read_weights
from generator.foundation.errors import BoxpaintError, ModelError, ModelNotFoundError

# Mean and spread of ImageNet's colours, which torchvision's weights expect.
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class SmallNet(nn.Module):
    """Six convolutions and a linear layer, 150 k parameters: 600 steps of 64 crops in a minute on one CPU core."""

    def __init__(self, num_classes: int):
        super().__init__()
        widths = (3, 24, 48, 48, 96, 96)
        strides = (2, 2, 1, 2, 1)
        layers: list[nn.Module] = []
        for before, after, stride in zip(widths, widths[1:], strides, strict=False):
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(widths[-1], num_classes)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Normalised pixels (B, 3, H, W) -> logits (B, K)."""
        return self.fc(self.features(pixels).mean((2, 3)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """A network by name. `cam_layer`: the module whose output Grad-CAM weighs; `head`: its last layer."""

    build: Callable[[int], nn.Module]
    crop_px: int
    learning_rate: float
    cam_layer: str
    head: str = "fc"
    imagenet_url: str | None = None
    """Where torchvision has its ImageNet weights; the last part is the file's name in the hub cache."""


MODELS: dict[str, ModelSpec] = {
    "resnet50": ModelSpec(
        build=lambda classes: resnet50(num_classes=classes),
        crop_px=224,
        learning_rate=5e-4,
        cam_layer="layer4",
        imagenet_url=ResNet50_Weights.IMAGENET1K_V2.url,
    ),
    "resnet18": ModelSpec(
        build=lambda classes: resnet18(num_classes=classes),
        crop_px=128,
        learning_rate=5e-4,
        cam_layer="layer4",
        imagenet_url=ResNet18_Weights.IMAGENET1K_V1.url,
    ),
    "small": ModelSpec(build=SmallNet, crop_px=64, learning_rate=3e-3, cam_layer="features"),
}


class Classifier(nn.Module):
    """A network of MODELS over pixels in [0, 1]; normalising them is a part of it, so that an export needs nothing."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, name: str, classes: tuple[str, ...]):
        super().__init__()
        self.spec = spec_of(name)
        self.name = name
        self.classes = classes
        self.network = self.spec.build(len(classes))
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).reshape(1, 3, 1, 1), persistent=False)

    @property
    def cam_layer(self) -> nn.Module:
        """The module whose output Grad-CAM weighs."""
        return self.network.get_submodule(self.spec.cam_layer)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels (B, 3, H, W) float RGB in [0, 1] -> logits (B, K)."""
        return self.network((pixels - self.mean) / self.std)


def spec_of(name: str) -> ModelSpec:
    """Find a model. Raises BoxpaintError naming those that there are."""
    if name not in MODELS:
        raise BoxpaintError(f"--model: there is no classifier {name!r}; known: {', '.join(MODELS)}")
    return MODELS[name]


def build_classifier(name: str, classes: tuple[str, ...], weights: str, *, seed: int) -> Classifier:
    """Make a classifier: random weights of the seed, then those of `weights` for all but the last layer.

    `weights`: none, imagenet, or a path. Raises ModelNotFoundError when they are not on this machine, ModelError when
    they are of another network.
    """
    torch.manual_seed(seed)
    model = Classifier(name, classes)
    path = find_weights(name, weights)
    if path is not None:
        _take_over(model, path)
    return model


def find_weights(name: str, weights: str) -> Path | None:
    """Find the file of `weights`; None for random ones. Raises ModelNotFoundError."""
    if weights == "none":
        return None
    if weights == "imagenet":
        url = spec_of(name).imagenet_url
        if url is None:
            raise ModelNotFoundError(f"--weights imagenet: there are none for {name!r}; use --weights none")
        path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
        if not path.is_file():
            raise ModelNotFoundError(
                f"--weights imagenet: {path} is missing, and boxpaint downloads nothing unasked; put the file of {url} "
                "there, or use --weights none"
            )
        return path
    if not Path(weights).is_file():
        raise ModelNotFoundError(
            f"--weights: there is no file {weights!r}; none, imagenet, a .pth or .safetensors is needed"
        )
    return Path(weights)


def _take_over(model: Classifier, path: Path) -> None:
    """Give the network all weights of a file but those of the last layer, which is of other classes."""
    found = {name.removeprefix("network."): value for name, value in read_weights(path).items()}
    head = f"{model.spec.head}."
    own = model.network.state_dict()
    wanted = {name for name in own if not name.startswith(head)}
    wrong = sorted(name for name in wanted if name not in found or found[name].shape != own[name].shape)
    if wrong:
        raise ModelError(
            f"{path} is not of a {model.name}: {len(wanted) - len(wrong)} of {len(wanted)} weights fit; the first that "
            f"does not: {wrong[0]}"
        )
    model.network.load_state_dict({name: found[name] for name in wanted}, strict=False)
