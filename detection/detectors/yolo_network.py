"""Networks of ultralytics from plain data, heads for other categories, and the weights to start from.

A file of ultralytics (.pt) is a pickle of Python objects. It is read with torch.load(weights_only=True) and a list of
the layers that ultralytics knows, so that nothing in it is run; what is not on the list is refused.

https://docs.ultralytics.com/guides/model-yaml-config/
"""

from __future__ import annotations

import copy
import difflib
import json
import math
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from torch import nn

from detection.detectors.architectures import WEIGHTS, cached_weights, read_saved
from detection.detectors.settings import ModelCard, read_card
from detection.detectors.yolo_library import (
    DEFAULT_CFG,
    GITHUB_ASSETS_NAMES,
    ROOT,
    Detect,
    DetectionModel,
    guess_model_scale,
    layers,
    torch_safe_load,
    v10Detect,
)
from generator.foundation.errors import ModelError, ModelNotFoundError, reason_of
from generator.foundation.storage import translate_os_errors
from generator.foundation.training import TORN

DEFAULT_VARIANT = "yolo11n"
CHANNELS = 3
# A description may come with somebody's weights, and ultralytics evaluates this text and calls layers by their names.
_ACTIVATION = re.compile(r"(torch\.)?nn\.[A-Za-z0-9]+\([-A-Za-z0-9_=., ]*\)")
_FETCHING_LAYERS = {"TorchVision"}  # it gets weights of its own from the network
_NO_NETWORK = (AttributeError, AssertionError, KeyError, IndexError, RuntimeError, SyntaxError, TypeError, ValueError)
# Sides in pixels of the pictures, and objects in each, that the first scores of a head stand for, as in bias_init.
_USUAL_SIDE_PX, _USUAL_OBJECTS = 640, 5

Description = dict[str, Any]
# A DetectionModel of ultralytics, whose attributes carry no types
Network = Any
NETWORK = "network.json"
# What goes before the names of weights in a saved detector: YoloModel holds the network under this name.
PREFIX = "network."
# The release that ultralytics 8.4 takes its weights from: ultralytics.utils.downloads.attempt_download_asset.
_RELEASE = "https://github.com/ultralytics/assets/releases/download/v8.4.0"


def describe(variant: str) -> Description:
    """Describe a network by its name, such as yolo11n, or by a YAML file of one's own.

    Raises ModelNotFoundError when there is no such file, ModelError when there is no such name.
    """
    path = Path(variant)
    if path.is_file() or len(path.parts) > 1:
        if not path.is_file():
            raise ModelNotFoundError(f"variant: there is no file {path} that describes a network")
        return _read_yaml(path, path.stem)
    name = variant.removesuffix(".yaml")
    files = {file.stem: file for file in sorted((Path(ROOT) / "cfg" / "models").rglob("*.yaml"))}
    for stem in (name, _without_scale(name)):
        if stem in files:
            description = _read_yaml(files[stem], name)
            if stem == name or description["scale"] in description.get("scales", {}):
                return description
    near = difflib.get_close_matches(name, [DEFAULT_VARIANT, "yolo11s", "yolo11m", "yolo26n", "yolov8n", *files], 3)
    raise ModelError(f"there is no YOLO {name!r}; did you mean {' or '.join(near or [DEFAULT_VARIANT])}?")


def build(description: Mapping[str, Any], categories: int) -> Network:
    """Make a network with fresh weights (drawn from torch's global generator) for a number of categories.

    The hidden part of its head is that of `nc` categories, as the description says. Raises ModelError when it
    describes no detector of boxes.
    """
    _check(description)
    try:
        network: Network = DetectionModel(copy.deepcopy(dict(description)), ch=CHANNELS, verbose=False)
    except _NO_NETWORK as error:
        raise ModelError(f"{_name(description)} describes no network that can be built: {error}") from None
    if type(network.model[-1]) not in (Detect, v10Detect):
        head = type(network.model[-1]).__name__
        raise ModelError(f"{_name(description)} ends with {head}, not with Detect: it does not find boxes alone")
    network.args = DEFAULT_CFG  # the weights of the parts of its loss
    if network.model[-1].nc != categories:
        give_categories(network, (), tuple(str(number) for number in range(categories)))
    return network


def give_categories(network: Network, before: Sequence[str], now: Sequence[str]) -> None:
    """Let a network find other categories: those that it knew by name it keeps, the others start fresh."""
    known = {_folded(name): number for number, name in enumerate(before)}
    head = network.model[-1]
    for branches in (head.cv3, getattr(head, "one2one_cv3", None) or ()):
        for branch, stride in zip(branches, head.stride.tolist(), strict=False):
            branch[-1] = _with_rows(branch[-1], [known.get(_folded(name)) for name in now], stride)
    head.nc = len(now)
    head.no = head.nc + 4 * head.reg_max


def backbone_of(network: Network) -> nn.Module:
    """Return the feature extractor, whose layers it shares with the network."""
    body: nn.Module = network.model[: len(network.yaml["backbone"])]
    return body


def same_network(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Say whether two descriptions are of the same layers, whatever the number of categories."""
    return all(_shape(one)[key] == value for key, value in _shape(other).items())


def _with_rows(layer: Any, rows: Sequence[int | None], stride: float) -> nn.Module:
    new: Any = nn.Conv2d(layer.in_channels, len(rows), 1).to(layer.weight.device)
    with torch.no_grad():
        new.bias.fill_(math.log(_USUAL_OBJECTS / len(rows) / (_USUAL_SIDE_PX / stride) ** 2))
        for number, row in enumerate(rows):
            if row is not None:
                new.weight[number], new.bias[number] = layer.weight[row], layer.bias[row]
    return new


def _read_yaml(path: Path, name: str) -> Description:
    try:
        with translate_os_errors(path):
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        scale = guess_model_scale(name) or next(iter(content.get("scales", [])), "")
        return {**content, "scale": scale, "yaml_file": f"{name}.yaml"}
    except (yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} describes no network: {str(error).splitlines()[0]}") from None


def _check(description: Mapping[str, Any]) -> None:
    """Let nothing through that would run code, or fetch something, when it is built."""
    activation = description.get("activation")
    if activation is not None and not _ACTIVATION.fullmatch(str(activation)):
        raise ModelError(f"{_name(description)}: activation {activation!r} should be as nn.SiLU()")
    rows = [*_list(description, "backbone"), *_list(description, "head")]
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != 4:
            raise ModelError(f"{_name(description)}: layer {number} should be [from, repeats, module, args]")
        kind = str(row[2])
        known = getattr(nn, kind.removeprefix("nn."), None) if kind.startswith("nn.") else getattr(layers, kind, None)
        if not (isinstance(known, type) and issubclass(known, nn.Module)) or kind in _FETCHING_LAYERS:
            raise ModelError(f"{_name(description)}: layer {number} is {kind!r}, which is no layer that may be used")


def _list(description: Mapping[str, Any], key: str) -> list[Any]:
    rows = description.get(key)
    if not isinstance(rows, list) or not rows:
        raise ModelError(f"{_name(description)}: {key} should be a list of layers")
    return rows


def _shape(description: Mapping[str, Any]) -> dict[str, Any]:
    scales = description.get("scales") or {}
    keys = ("backbone", "head", "reg_max", "end2end", "activation", "depth_multiple", "width_multiple")
    return {"scale": scales.get(description.get("scale")), **{key: description.get(key) for key in keys}}


def _name(description: Mapping[str, Any]) -> str:
    return str(description.get("yaml_file", "this YOLO"))


def _without_scale(name: str) -> str:
    return re.sub(r"(\d+)([nslmx])(.+)?$", r"\1\3", name)


def _folded(name: str) -> str:
    return name.strip().casefold()


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
        checkpoint = _read_file(_coco_weights(options.variant or DEFAULT_VARIANT, download=options.download))
    else:
        checkpoint = _read_checkpoint(Path(options.pretrained))
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


def _coco_weights(variant: str, *, download: bool) -> Path:
    name = f"{Path(variant).stem}.pt"
    if name not in GITHUB_ASSETS_NAMES:
        raise ModelError(f"there are no coco weights for {variant}; choose none or the path of a checkpoint")
    return cached_weights(f"{_RELEASE}/{name}", download=download)


def _read_checkpoint(path: Path) -> Checkpoint:
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
    return Checkpoint(
        path=folder / WEIGHTS,
        description=_read_description(folder),
        weights={name.removeprefix(PREFIX): value for name, value in read_saved(folder).items()},
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
    except (*TORN, SafetensorError, ImportError) as error:
        raise ModelError(f"{path} cannot be used: {reason_of(error)}") from None


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
