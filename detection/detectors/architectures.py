"""torchvision's detectors by name: the standard ones, and small ones that train from nothing on a CPU.

https://docs.pytorch.org/vision/stable/models.html#object-detection

They start from fresh weights, torchvision's own from the cache of torch hub, or a checkpoint. No silent download.
https://docs.pytorch.org/docs/stable/hub.html#where-are-my-downloaded-models-saved
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn
from torchvision.models import MobileNet_V3_Large_Weights, ResNet50_Weights
from torchvision.models import detection as tv
from torchvision.models._api import WeightsEnum
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import mobilenet_backbone, resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.retinanet import RetinaNetHead
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from detection.detectors.settings import SMALL_DETECTIONS, ModelCard, read_card
from generator.foundation.errors import ModelError, ModelNotFoundError, reason_of
from generator.foundation.storage import make_folder, translate_os_errors
from generator.foundation.training import TORN

# (categories, width and height of the input) -> model in training mode, with fresh weights
Build = Callable[[int, tuple[int, int]], nn.Module]

_SSDLITE_WH = (320, 320)
# Its seventh level would be made from a map of one pixel, where oneDNN's bfloat16 gradient of a convolution with
# stride 2 is uninitialised memory (seen with torch 2.12: values of 1e38 and NaN).
_RETINANET_TOO_SMALL_PX = 64
# Anchors of the small detectors: side in pixels of an input of 320 x 240, for the strides 8, 16 and 32.
_SMALL_WH = (320, 240)
_SMALL_ANCHORS_PX = ((16, 22), (40, 56), (80, 112))
_SMALL_RATIOS = (0.75, 1.0, 1.33)
_BOXES = ("roi_heads.box_predictor.",)
_BOXES_AND_MASKS = (*_BOXES, "roi_heads.mask_predictor.mask_fcn_logits.")
_LOGITS = ("head.classification_head.cls_logits.",)
WIDTHS = (16, 24, 48, 64, 96)
PYRAMID_CHANNELS = 48
STRIDES = (8, 16, 32)
Weights = Mapping[str, torch.Tensor]
_BODY = "backbone.body."
WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A detector that torchvision knows how to train."""

    build: Build
    gives_masks: bool = False
    per_category: tuple[str, ...]
    """Beginnings of the names of weights whose shape depends on the number of categories."""
    coco: WeightsEnum | None = None
    imagenet: WeightsEnum | None = None
    """Weights of the classifier whose trunk is backbone.body."""

    @property
    def has_large_trunk(self) -> bool:
        """Whether its normalisation should keep the statistics of pretrained weights: batches are small for it."""
        return self.imagenet is not None


def _sized(input_wh: tuple[int, int]) -> dict[str, Any]:
    """Keywords that keep torchvision from resizing: pictures come at the size of the input already."""
    return {"min_size": min(input_wh), "max_size": max(input_wh), "fixed_size": input_wh, "_skip_resize": True}


def _resnet(**pyramid: Any) -> nn.Module:
    return resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=nn.BatchNorm2d, trainable_layers=5, **pyramid
    )


def _faster_rcnn(categories: int, input_wh: tuple[int, int]) -> nn.Module:
    return tv.FasterRCNN(_resnet(), categories + 1, **_sized(input_wh))


def _mask_rcnn(categories: int, input_wh: tuple[int, int]) -> nn.Module:
    return tv.MaskRCNN(_resnet(), categories + 1, **_sized(input_wh))


def _retinanet(categories: int, input_wh: tuple[int, int]) -> nn.Module:
    if max(input_wh) <= _RETINANET_TOO_SMALL_PX:
        raise ModelError(f"retinanet takes pictures of more than {_RETINANET_TOO_SMALL_PX} pixels in width or height")
    backbone = _resnet(returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(256, 256))
    return tv.RetinaNet(backbone, categories + 1, **_sized(input_wh))


def _faster_rcnn_mobilenet(categories: int, input_wh: tuple[int, int]) -> nn.Module:
    backbone = mobilenet_backbone(
        backbone_name="mobilenet_v3_large", weights=None, fpn=True, norm_layer=nn.BatchNorm2d, trainable_layers=6
    )
    anchors = AnchorGenerator(((32, 64, 128, 256, 512),) * 3, ((0.5, 1.0, 2.0),) * 3)
    return tv.FasterRCNN(
        backbone, categories + 1, rpn_anchor_generator=anchors, rpn_score_thresh=0.05, **_sized(input_wh)
    )


def _ssdlite(categories: int, input_wh: tuple[int, int]) -> nn.Module:
    if input_wh != _SSDLITE_WH:
        raise ModelError(f"ssdlite takes pictures of 320 x 320 only, not {input_wh[0]} x {input_wh[1]}")
    return tv.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=categories + 1)


def _small_anchors(input_wh: tuple[int, int]) -> AnchorGenerator:
    scale = _small_scale(input_wh)
    sizes = tuple(tuple(side * scale for side in sides) for sides in _SMALL_ANCHORS_PX)
    return AnchorGenerator(sizes, (_SMALL_RATIOS,) * len(sizes))


def _small_scale(input_wh: tuple[int, int]) -> float:
    return math.sqrt(math.prod(input_wh) / math.prod(_SMALL_WH))


def _retinanet_small(categories: int, input_wh: tuple[int, int]) -> nn.Module:
    anchors = _small_anchors(input_wh)
    head = RetinaNetHead(
        PYRAMID_CHANNELS,
        anchors.num_anchors_per_location()[0],
        categories + 1,
        norm_layer=lambda channels: nn.GroupNorm(8, channels),
    )
    for part in (head.classification_head, head.regression_head):
        part.conv = nn.Sequential(*list(part.conv)[:2])  # two of the four convolutions: half the time of the head
    return tv.RetinaNet(
        SmallBackbone(),
        categories + 1,
        anchor_generator=anchors,
        head=head,
        image_mean=[0.5] * 3,
        image_std=[0.25] * 3,
        score_thresh=0.02,
        detections_per_img=SMALL_DETECTIONS,
        topk_candidates=300,
        **_sized(input_wh),
    )


def _small_two_stage(input_wh: tuple[int, int], categories: int, *, pool_px: int = 7) -> dict[str, Any]:
    anchors = _small_anchors(input_wh)
    return {
        "backbone": SmallBackbone(),
        "image_mean": [0.5] * 3,
        "image_std": [0.25] * 3,
        "rpn_anchor_generator": anchors,
        "rpn_head": RPNHead(PYRAMID_CHANNELS, anchors.num_anchors_per_location()[0]),
        "rpn_pre_nms_top_n_train": 500,
        "rpn_pre_nms_top_n_test": 300,
        "rpn_post_nms_top_n_train": 200,
        "rpn_post_nms_top_n_test": 100,
        "rpn_batch_size_per_image": 128,
        "box_roi_pool": _pool(input_wh, pool_px),
        "box_head": TwoMLPHead(PYRAMID_CHANNELS * pool_px**2, 128),
        "box_predictor": FastRCNNPredictor(128, categories + 1),
        "box_score_thresh": 0.02,
        "box_detections_per_img": SMALL_DETECTIONS,
        "box_batch_size_per_image": 128,
        **_sized(input_wh),
    }


def _pool(input_wh: tuple[int, int], side: int) -> MultiScaleRoIAlign:
    names = [str(number) for number in range(len(STRIDES))]
    return MultiScaleRoIAlign(names, side, 2, canonical_scale=round(64 * _small_scale(input_wh)), canonical_level=4)


def _faster_rcnn_small(categories: int, input_wh: tuple[int, int]) -> nn.Module:
    return tv.FasterRCNN(**_small_two_stage(input_wh, categories))


def _mask_rcnn_small(categories: int, input_wh: tuple[int, int]) -> nn.Module:
    return tv.MaskRCNN(
        **_small_two_stage(input_wh, categories),
        mask_roi_pool=_pool(input_wh, 14),
        mask_head=MaskRCNNHeads(PYRAMID_CHANNELS, (PYRAMID_CHANNELS,) * 2, 1),
        mask_predictor=MaskRCNNPredictor(PYRAMID_CHANNELS, PYRAMID_CHANNELS, categories + 1),
    )


ARCHITECTURES: dict[str, Architecture] = {
    "retinanet_small": Architecture(build=_retinanet_small, per_category=_LOGITS),
    "faster_rcnn_small": Architecture(build=_faster_rcnn_small, per_category=_BOXES),
    "mask_rcnn_small": Architecture(build=_mask_rcnn_small, per_category=_BOXES_AND_MASKS, gives_masks=True),
    "faster_rcnn": Architecture(
        build=_faster_rcnn,
        per_category=_BOXES,
        coco=tv.FasterRCNN_ResNet50_FPN_Weights.COCO_V1,
        imagenet=ResNet50_Weights.IMAGENET1K_V1,
    ),
    "faster_rcnn_mobilenet": Architecture(
        build=_faster_rcnn_mobilenet,
        per_category=_BOXES,
        coco=tv.FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1,
        imagenet=MobileNet_V3_Large_Weights.IMAGENET1K_V1,
    ),
    "retinanet": Architecture(
        build=_retinanet,
        per_category=_LOGITS,
        coco=tv.RetinaNet_ResNet50_FPN_Weights.COCO_V1,
        imagenet=ResNet50_Weights.IMAGENET1K_V1,
    ),
    "ssdlite": Architecture(
        build=_ssdlite,
        per_category=("head.classification_head.",),
        coco=tv.SSDLite320_MobileNet_V3_Large_Weights.COCO_V1,
    ),
    "mask_rcnn": Architecture(
        build=_mask_rcnn,
        per_category=_BOXES_AND_MASKS,
        gives_masks=True,
        coco=tv.MaskRCNN_ResNet50_FPN_Weights.COCO_V1,
        imagenet=ResNet50_Weights.IMAGENET1K_V1,
    ),
}


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut: He et al. 2016, arXiv 1512.03385, figure 5 left."""

    def __init__(self, channels_in: int, channels_out: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels_out)
        self.second = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels_out)
        self.shortcut = nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, C_in, H, W) -> (B, C_out, H / stride, W / stride)."""
        found = torch.relu(self.first_norm(self.first(features)))
        return torch.relu(self.second_norm(self.second(found)) + self.shortcut(features))


class SmallBody(nn.Module):
    """Stem and four blocks, each at half the size of the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, WIDTHS[0], 3, 2, 1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU(inplace=True)
        )
        self.blocks = nn.ModuleList(Block(before, after, 2) for before, after in pairwise(WIDTHS))

    def forward(self, images: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        """(B, 3, H, W) -> features at strides 8, 16 and 32 under '0', '1', '2'."""
        features = self.stem(images)
        maps = []
        for block in self.blocks:
            features = block(features)
            maps.append(features)
        return OrderedDict((str(number), each) for number, each in enumerate(maps[-len(STRIDES) :]))


class SmallBackbone(nn.Module):
    """Body and pyramid (Lin et al. 2017, arXiv 1612.03144), as torchvision's detectors take them.

    It trains from nothing on one CPU core in minutes; 0.3 M parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.out_channels = PYRAMID_CHANNELS
        self.body = SmallBody()
        self.fpn = FeaturePyramidNetwork(list(WIDTHS[-len(STRIDES) :]), PYRAMID_CHANNELS)

    def forward(self, images: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        """(B, 3, H, W) -> (B, 48, H / s, W / s) for the strides s = 8, 16, 32."""
        return self.fpn(self.body(images))


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
        path = cached_weights(known.url, download=card.options.download)
    else:
        path = Path(source)
    same_categories = False
    if path.is_dir():
        same_categories, weights = read_card(path).categories == card.categories, read_saved(path)
    elif path.is_file():
        weights = read_weights(path)
    else:
        raise ModelNotFoundError(f"pretrained: there is no checkpoint {path}; choose none, imagenet, coco or a path")
    try:
        _put(model, weights, architecture, same_categories=same_categories)
    except ValueError as error:
        raise ModelError(f"{path} holds no weights for {card.name}: {error}") from None


def cached_weights(url: str, *, download: bool) -> Path:
    """The file of a URL in the cache of torch hub, fetched where it is missing and that is allowed.

    Raises ModelNotFoundError when it cannot be had, saying where to put it.
    """
    name = Path(url).name
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if path.is_file():
        return path
    if not download:
        message = f"the weights {name} are not on this machine; fetch {url} and put it at {path}, or allow the download"
        raise ModelNotFoundError(message)
    # torchvision's names end with the beginning of their SHA-256.
    digest = torch.hub.HASH_REGEX.search(name)
    try:
        torch.hub.download_url_to_file(
            url, str(make_folder(path.parent) / name), digest.group(1) if digest else None, progress=False
        )
    except (OSError, RuntimeError) as error:
        message = f"{url} cannot be fetched ({reason_of(error)}); fetch it elsewhere and put it at {path}"
        raise ModelNotFoundError(message) from None
    return path


def read_saved(folder: Path) -> Weights:
    """Read the weights of a folder that a detector was saved to. Raises ModelError, StorageError."""
    path = folder / WEIGHTS
    if not path.is_file():
        raise ModelNotFoundError(f"{path}: the weights of this detector are missing; copy the whole folder")
    return read_weights(path)


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
    except (*TORN, SafetensorError) as error:
        raise ModelError(f"{path} cannot be used: {reason_of(error)}") from None
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
