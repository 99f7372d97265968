"""Weights to start from: torchvision's own from the cache of torch hub, or a checkpoint on disk. No silent download.

https://docs.pytorch.org/docs/stable/hub.html#where-are-my-downloaded-models-saved
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn
from torchvision.models._api import WeightsEnum

from detection.detectors.architectures import Architecture
from detection.detectors.model_folder import ModelCard, read_card
from generator.foundation.errors import ModelError, ModelNotFoundError
from generator.foundation.storage import translate_os_errors

Weights = Mapping[str, torch.Tensor]

_BODY = "backbone.body."
_NO_WEIGHTS = (
    SafetensorError,
    RuntimeError,
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)


def load_pretrained(model: nn.Module, card: ModelCard, architecture: Architecture) -> None:
    """Put the weights that the card's options name into a model; what depends on the categories stays fresh.

    Raises ModelNotFoundError when they are not on this machine, saying where to put them, and ModelError when they are
    of another model.
    """
    source = card.options.pretrained
    if source == "none":
        return
    if source in ("coco", "imagenet"):
        known = architecture.coco if source == "coco" else architecture.imagenet
        if known is None:
            raise ModelError(f"there are no {source} weights for {card.name}; choose none or the path of a checkpoint")
        path = _cached(known, download=card.options.download)
    else:
        path = Path(source)
    weights, categories = _read(path)
    try:
        _put(model, weights, architecture, same_categories=categories == card.categories)
    except ValueError as error:
        raise ModelError(f"{path} holds no weights for {card.name}: {error}") from None


def _cached(weights: WeightsEnum, *, download: bool) -> Path:
    url: str = weights.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if path.is_file():
        return path
    if not download:
        raise ModelNotFoundError(
            f"the weights {path.name} are not on this machine; fetch {url} and put it at {path}, or allow the download"
        )
    try:
        torch.hub.load_state_dict_from_url(url, progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelNotFoundError(
            f"{url} cannot be fetched ({reason}); fetch it elsewhere and put it at {path}"
        ) from None
    return path


def _read(path: Path) -> tuple[Weights, tuple[str, ...] | None]:
    """Weights of a file, or of a folder that a detector was saved to, and the categories of the latter."""
    categories = None
    if path.is_dir():
        categories = read_card(path).categories
        path = path / "model.safetensors"
    if not path.is_file():
        raise ModelNotFoundError(f"pretrained: there is no checkpoint {path}; choose none, imagenet, coco or a path")
    return read_weights(path), categories


def read_weights(path: Path) -> Weights:
    """Read a state dict, without running code of it. Raises ModelError, StorageError."""
    try:
        with translate_os_errors(path):
            if path.suffix == ".safetensors":
                return safetensors.torch.load(path.read_bytes())
            content = torch.load(path, map_location="cpu", weights_only=True)
        # Training scripts of torchvision keep the model beside the optimizer.
        weights: Any = content.get("model", content) if isinstance(content, Mapping) else None
        if not weights or not all(isinstance(value, torch.Tensor) for value in weights.values()):
            raise ValueError("it is no dictionary of tensors")
    except _NO_WEIGHTS as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path} cannot be used: {reason}") from None
    return weights


def _put(model: nn.Module, weights: Weights, architecture: Architecture, *, same_categories: bool) -> None:
    """Raises ValueError when the weights are neither of this detector nor of its trunk."""
    own = model.state_dict()
    trunk = {_BODY + name.removeprefix("features."): value for name, value in weights.items()}
    is_trunk = not any(name in own for name in weights) and any(name in own for name in trunk)
    given = trunk if is_trunk else dict(weights)
    fresh = () if same_categories else architecture.per_category
    wanted = [
        name
        for name in own
        if not name.startswith(fresh) and not name.endswith("num_batches_tracked")
        if not is_trunk or name.startswith(_BODY)
    ]
    for name in wanted:
        if name not in given:
            raise ValueError(f"{name} is missing")
        if given[name].shape != own[name].shape:
            raise ValueError(f"{name} is {tuple(given[name].shape)}, not {tuple(own[name].shape)}")
    model.load_state_dict({**own, **{name: given[name] for name in wanted}})
