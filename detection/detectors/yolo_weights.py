"""Where a YOLO starts from: fresh weights, ultralytics' own, a checkpoint of its training, or a saved detector.

A file of ultralytics (.pt) is a pickle of Python objects. It is read with torch.load(weights_only=True) and a list of
the layers that ultralytics knows, so that nothing in it is run; what is not on the list is refused.
"""

from __future__ import annotations

import json
import pickle
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from detection.detectors.model_folder import ModelCard, read_card
from detection.detectors.yolo_library import GITHUB_ASSETS_NAMES, DetectionModel, torch_safe_load
from detection.detectors.yolo_network import (
    CHANNELS,
    DEFAULT_VARIANT,
    Description,
    Network,
    build,
    describe,
    give_categories,
    same_network,
)
from generator.foundation.errors import ModelError, ModelNotFoundError
from generator.foundation.storage import translate_os_errors

NETWORK, WEIGHTS = "network.json", "model.safetensors"
# What goes before the names of weights in a saved detector: YoloModel holds the network under this name.
PREFIX = "network."
# The release that ultralytics 8.4 takes its weights from: ultralytics.utils.downloads.attempt_download_asset.
_RELEASE = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
_UNREADABLE = (
    SafetensorError,
    RuntimeError,
    pickle.UnpicklingError,
    ImportError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """A trained network: its description, its weights by their names in DetectionModel, and what it finds."""

    path: Path
    description: Description
    weights: Mapping[str, torch.Tensor]
    categories: tuple[str, ...]


def make_network(card: ModelCard) -> tuple[Network, Description]:
    """Make the network that a card asks for, with the weights to start from, and describe it.

    Raises ModelNotFoundError when weights are not on this machine, saying where to put them; ModelError when the card
    asks for what cannot be had.
    """
    options = card.options
    if options.pretrained == "none":
        description = {**describe(options.variant or DEFAULT_VARIANT), "nc": len(card.categories)}
        return build(description, len(card.categories)), description
    if options.pretrained == "imagenet":
        raise ModelError("there are no imagenet weights for yolo; choose none, coco or the path of a checkpoint")
    if options.pretrained == "coco":
        checkpoint = _read_file(_cached(options.variant or DEFAULT_VARIANT, download=options.download))
    else:
        checkpoint = _read(Path(options.pretrained))
        if options.variant is not None and not same_network(describe(options.variant), checkpoint.description):
            advice = "leave variant out to take that one"
            raise ModelError(f"{checkpoint.path} holds another network than {options.variant}; {advice}")
    return _restored(checkpoint, card.categories), checkpoint.description


def read_network(folder: Path, categories: int) -> tuple[Network, Description]:
    """Make the network of a saved detector, its weights still fresh. Raises ModelError."""
    description = _read_description(folder)
    return build(description, categories), description


def _restored(checkpoint: Checkpoint, categories: tuple[str, ...]) -> Network:
    network = build(checkpoint.description, len(checkpoint.categories))
    try:
        network.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[1 if "\n" in str(error) else 0].strip()
        raise ModelError(f"{checkpoint.path} does not hold the weights of its network: {reason}") from None
    if checkpoint.categories != categories:
        give_categories(network, checkpoint.categories, categories)
    return network


def _cached(variant: str, *, download: bool) -> Path:
    name = f"{Path(variant).stem}.pt"
    if name not in GITHUB_ASSETS_NAMES:
        raise ModelError(f"there are no coco weights for {variant}; choose none or the path of a checkpoint")
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    url = f"{_RELEASE}/{name}"
    if path.is_file():
        return path
    if not download:
        message = f"the weights {name} are not on this machine; fetch {url} and put it at {path}, or allow the download"
        raise ModelNotFoundError(message)
    try:
        with translate_os_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), progress=False)
    except (OSError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        message = f"{url} cannot be fetched ({reason}); fetch it elsewhere and put it at {path}"
        raise ModelNotFoundError(message) from None
    return path


def _read(path: Path) -> Checkpoint:
    if path.is_dir():
        return _read_folder(path)
    if path.is_file():
        return _read_file(path)
    message = f"pretrained: there is no checkpoint {path}; choose none, coco, a saved detector or a file of ultralytics"
    if path.name in GITHUB_ASSETS_NAMES:
        message = (
            f"pretrained: {path} is not on this machine; fetch {_RELEASE}/{path.name} and put it there, or choose "
            f"variant {path.stem} and pretrained coco, and allow the download"
        )
    raise ModelNotFoundError(message)


def _read_folder(folder: Path) -> Checkpoint:
    card = read_card(folder)
    if card.name != "yolo":
        raise ModelError(f"{folder} holds a {card.name}, whose weights do not fit yolo")
    path = folder / WEIGHTS
    if not path.is_file():
        raise ModelNotFoundError(f"{path}: the weights of this detector are missing; copy the whole folder")
    try:
        with translate_os_errors(path):
            weights = safetensors.torch.load(path.read_bytes())
    except SafetensorError as error:
        raise ModelError(f"{path} cannot be used: {error}") from None
    return Checkpoint(
        path=path,
        description=_read_description(folder),
        weights={name.removeprefix(PREFIX): value for name, value in weights.items()},
        categories=card.categories,
    )


def _read_description(folder: Path) -> Description:
    path = folder / NETWORK
    try:
        with translate_os_errors(path):
            return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ModelError(f"{path} describes no network: {error}") from None


def _read_file(path: Path) -> Checkpoint:
    """Read a file of ultralytics; the averaged weights, where it has them."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            # By the name of some files ultralytics would fetch others instead.
            safe = Path(folder) / "checkpoint.pt"
            with translate_os_errors(path):
                shutil.copyfile(path, safe)
            content, _ = torch_safe_load(safe, safe_only=True)
        network = content.get("ema") or content["model"]
        if not isinstance(network, DetectionModel):
            raise ValueError(f"it is a {type(network).__name__}, not a detection network of ultralytics")
        return _checkpoint_of(path, network)
    except _UNREADABLE as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path} cannot be used: {reason}") from None


def _checkpoint_of(path: Path, network: Network) -> Checkpoint:
    described: dict[str, Any] = json.loads(json.dumps(network.yaml))
    if described.get("channels", CHANNELS) != CHANNELS:
        raise ValueError(f"it takes pictures of {described['channels']} channels, not of {CHANNELS}")
    # A head that was trained for other categories before keeps its hidden part, whose width tells for how many.
    described["nc"] = network.model[-1].cv3[0][-1].in_channels
    names = network.names
    return Checkpoint(
        path=path,
        description=described,
        weights=network.float().state_dict(),
        categories=tuple(str(names[number]) for number in sorted(names)),
    )
