"""YOLO of ultralytics behind the interface of types.py.

Only its networks and their loss are taken. Batches, augmentation, optimizer, schedule, validation and checkpoints are
those of the other detectors, so that arms of an experiment differ in nothing but the network, an interrupted training
ends with the very same weights, and nothing is fetched, sent or written elsewhere:
docs/decisions/0006-detectors-and-yolo.md.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detection.detectors.architectures import Architecture
from detection.detectors.settings import ModelCard
from detection.detectors.torchvision_detector import TorchvisionDetector
from detection.detectors.yolo_library import non_max_suppression
from detection.detectors.yolo_network import NETWORK, Network, backbone_of, make_network, read_network
from generator.foundation.storage import make_folder, write_json

# As ultralytics scores its own detectors: https://docs.ultralytics.com/modes/val/
MIN_SCORE, MAX_IOU, MAX_DETECTIONS = 0.001, 0.7, 300
_PADDING = 114 / 255


class YoloModel(nn.Module):
    """A network of ultralytics, called as torchvision's detectors are.

    Pictures are padded to the right and below to whole strides, so that any size will do.
    """

    def __init__(self, network: Network):
        super().__init__()
        self.network: Network = network
        self._loss: Any = None

    @property
    def backbone(self) -> nn.Module:
        """The feature extractor, whose layers it shares."""
        return backbone_of(self.network)

    def forward(
        self, images: list[torch.Tensor], targets: list[dict[str, torch.Tensor]] | None = None
    ) -> dict[str, torch.Tensor] | list[dict[str, torch.Tensor]]:
        """In training the losses, else what is found; https://docs.pytorch.org/vision/stable/models/faster_rcnn.html.

        `images`: (3, H, W) float in [0, 1], all of one size. Losses are means over the pictures.
        """
        batch = _padded(torch.stack(images), int(self.network.stride.max()))
        if not self.training:
            return self._find(batch)
        if targets is None:
            raise ValueError("training needs targets")
        return self._losses(batch, targets)

    def _losses(self, batch: torch.Tensor, targets: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        if self._loss is None:
            self._loss = self.network.init_criterion()
        answers = self.network(batch)
        # With 8 bits a corner in the middle of a picture would be right to half a cell only.
        with torch.autocast(batch.device.type, enabled=False):
            parts, _ = self._loss(_as_float32(answers), labels_for_loss(targets, batch))
        return dict(zip(("box", "category", "distribution"), (parts / len(batch)).unbind(), strict=True))

    def _find(self, batch: torch.Tensor) -> list[dict[str, torch.Tensor]]:
        head = self.network.model[-1]
        answers, _ = self.network(batch)
        found = non_max_suppression(
            answers,
            MIN_SCORE,
            MAX_IOU,
            multi_label=True,
            max_det=MAX_DETECTIONS,
            nc=head.nc,
            end2end=head.end2end,
            # By default it gives up by the clock, and the pictures that are left have no detections.
            max_time_img=math.inf,
        )
        return [{"boxes": rows[:, :4], "scores": rows[:, 4], "labels": rows[:, 5].long() + 1} for rows in found]


class YoloDetector(TorchvisionDetector):
    """A YOLO of ultralytics, with the weights that the card asks for or, from `saved`, those that `save` wrote.

    `options.variant` is a name (yolo11n, yolo26s, yolov8n, ...) or a YAML file that describes a network;
    `options.pretrained` is none, coco, a folder that a YOLO was saved to, or a file of ultralytics (.pt). Raises
    ModelError, and ModelNotFoundError when weights are not on this machine.
    """

    def __init__(self, card: ModelCard, device: torch.device, saved: Path | None = None):
        network, self._description = make_network(card) if saved is None else read_network(saved, len(card.categories))
        super().__init__(card, device, saved, Architecture(build=lambda *_: YoloModel(network), per_category=()))

    def save(self, folder: Path) -> None:
        """Write network.json, model.safetensors (float32) and model.json. Raises StorageError."""
        write_json(make_folder(folder) / NETWORK, self._description)
        super().save(folder)


def _padded(batch: torch.Tensor, stride: int) -> torch.Tensor:
    height, width = batch.shape[2:]
    return nn.functional.pad(batch, (0, -width % stride, 0, -height % stride), value=_PADDING)


def labels_for_loss(targets: list[dict[str, torch.Tensor]], batch: torch.Tensor) -> dict[str, torch.Tensor]:
    """Turn targets into what ultralytics' losses take: which picture, category from 0, centre and size as shares.

    `targets`: boxes (N, 4) in pixels and labels (N,) from 1, of each picture; `batch`: (B, 3, H, W).
    """
    boxes = torch.cat([target["boxes"] for target in targets])
    labels = torch.cat([target["labels"] for target in targets])
    counts = torch.tensor([len(target["labels"]) for target in targets], device=batch.device)
    size = torch.tensor([batch.shape[3], batch.shape[2]], device=batch.device)
    corners = boxes.view(-1, 2, 2) / size
    return {
        "batch_idx": torch.repeat_interleave(torch.arange(len(targets), device=batch.device), counts).float(),
        "cls": (labels - 1).float(),
        "bboxes": torch.cat([corners.mean(dim=1), corners[:, 1] - corners[:, 0]], dim=1),
    }


def _as_float32(answers: Any) -> Any:
    if isinstance(answers, dict):
        return {name: _as_float32(value) for name, value in answers.items()}
    if isinstance(answers, list):
        return [_as_float32(value) for value in answers]
    return answers.float()
