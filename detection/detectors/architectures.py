"""torchvision's detectors by name: the standard ones, and small ones that train from nothing on a CPU.

https://docs.pytorch.org/vision/stable/models.html#object-detection
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from detection.detectors.settings import SMALL_DETECTIONS
from detection.detectors.small_backbone import PYRAMID_CHANNELS, STRIDES, SmallBackbone
from generator.foundation.errors import ModelError

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


_BOXES = ("roi_heads.box_predictor.",)
_BOXES_AND_MASKS = (*_BOXES, "roi_heads.mask_predictor.mask_fcn_logits.")
_LOGITS = ("head.classification_head.cls_logits.",)

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
