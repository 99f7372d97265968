"""All detectors by name. A new one is one file and one line here; tests/detection/detectors/test_contract.py covers it.

This module loads no torch, so that a command line can list the names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from detection.detectors.settings import CARD, SMALL_DETECTIONS, ModelCard, ModelOptions, read_card
from detection.detectors.types import Detector
from generator.foundation.errors import ModelError
from generator.foundation.seeds import derive_seed

if TYPE_CHECKING:
    import torch

_WEIGHTS = 3
_FEW = f"at most {SMALL_DETECTIONS} boxes a picture"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorInfo:
    """A kind of detector; `make` builds one from a card and takes the weights of a folder that one was saved to.

    Without a folder it starts from fresh weights (drawn from torch's global generator) or those the options name.
    """

    make: Callable[[ModelCard, torch.device, Path | None], Detector]
    summary: str
    input_wh: tuple[int, int]
    """Width and height that pictures are resized to where the options give none."""
    gives_masks: bool = False


def _torchvision(card: ModelCard, device: torch.device, saved: Path | None) -> Detector:
    from detection.detectors.torchvision_detector import TorchvisionDetector

    return TorchvisionDetector(card, device, saved)


def _yolo(card: ModelCard, device: torch.device, saved: Path | None) -> Detector:
    from detection.detectors.yolo import YoloDetector

    return YoloDetector(card, device, saved)


DETECTORS: dict[str, DetectorInfo] = {
    "retinanet_small": DetectorInfo(
        make=_torchvision,
        input_wh=(320, 240),
        summary=f"RetinaNet on a small backbone, for minutes on one CPU core; {_FEW}",
    ),
    "faster_rcnn_small": DetectorInfo(
        make=_torchvision, input_wh=(320, 240), summary=f"Faster R-CNN on the same small backbone; {_FEW}"
    ),
    "mask_rcnn_small": DetectorInfo(
        make=_torchvision,
        input_wh=(320, 240),
        summary=f"Mask R-CNN on the same small backbone; {_FEW}",
        gives_masks=True,
    ),
    "faster_rcnn": DetectorInfo(make=_torchvision, input_wh=(800, 608), summary="Faster R-CNN, ResNet-50 and FPN"),
    "faster_rcnn_mobilenet": DetectorInfo(
        make=_torchvision, input_wh=(640, 480), summary="Faster R-CNN, MobileNet V3 and FPN"
    ),
    "retinanet": DetectorInfo(make=_torchvision, input_wh=(800, 608), summary="RetinaNet, ResNet-50 and FPN"),
    "ssdlite": DetectorInfo(make=_torchvision, input_wh=(320, 320), summary="SSDLite, MobileNet V3"),
    "mask_rcnn": DetectorInfo(
        make=_torchvision, input_wh=(800, 608), summary="Mask R-CNN, ResNet-50 and FPN", gives_masks=True
    ),
    "yolo": DetectorInfo(make=_yolo, input_wh=(640, 640), summary="YOLO of ultralytics (AGPL-3.0; an extra)"),
}


def make_detector(
    name: str,
    categories: Sequence[str],
    options: ModelOptions | None = None,
    *,
    seed: int,
    device: torch.device,
) -> Detector:
    """Make a detector of these categories with fresh or pretrained weights; the seed decides what is drawn.

    Raises ModelError for a name, option or weights that cannot be used.
    """
    import torch

    if name not in DETECTORS:
        raise ModelError(_unknown(name))
    info = DETECTORS[name]
    chosen = options or ModelOptions()
    if chosen.input_wh is None:
        chosen = chosen.model_copy(update={"input_wh": info.input_wh})
    card = ModelCard(name=name, categories=tuple(categories), options=chosen)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, _WEIGHTS))
        return info.make(card, device, None)


def load_detector(folder: Path, device: torch.device) -> Detector:
    """Load what `Detector.save` wrote. Raises ModelError when it is missing, damaged or of another version."""
    card = read_card(folder)
    if card.name not in DETECTORS:
        raise ModelError(f"{folder / CARD} cannot be used: {_unknown(card.name)}")
    return DETECTORS[card.name].make(card, device, folder)


def _unknown(name: str) -> str:
    known = [f"  {each}: {info.summary}" for each, info in DETECTORS.items()]
    return "\n".join([f"there is no detector {name!r}; known:", *known])
