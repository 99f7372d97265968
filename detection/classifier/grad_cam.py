"""Where a classifier looks (Grad-CAM, Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391), and the page of it.

The page shows crops that a model got right and wrong, each beside where it looked.
"""

from __future__ import annotations

import io

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw

from detection.classifier.batches import fixed_views
from detection.classifier.crops import Crops
from detection.classifier.models import Classifier
from detection.classifier.trainer import to_tensor
from generator.dataset.pictures import spread
from generator.painting.crop import resize

_COLUMNS = 4
_CELL_PX, _GAP_PX, _TEXT_PX, _LINE_PX = 104, 8, 30, 13
_HEAT_SHARE = 0.5
_RIGHT, _WRONG = "#1B1B1F", "#B00020"


def grad_cam(model: Classifier, pixels: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Heat (B, S, S) in [0, 1] of what speaks for class `targets` (B,) in pixels (B, 3, S, S) in [0, 1].

    Each map is scaled to its own highest value; all zeros where nothing speaks for the class.
    """
    model.eval()
    kept: list[torch.Tensor] = []

    def keep(_module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
        kept.append(output)

    handle = model.cam_layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logits = model(pixels.requires_grad_(False))
            chosen = logits.gather(1, targets[:, None]).sum()
            (gradient,) = torch.autograd.grad(chosen, kept[0])
    finally:
        handle.remove()
    # Equations 1 and 2: channels weighed by their mean gradient, and only what speaks for the class.
    heat = (gradient.mean((2, 3), keepdim=True) * kept[0].detach()).sum(1, keepdim=True).relu()
    heat = torch.nn.functional.interpolate(heat, size=pixels.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
    return heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-12)


def choose_cases(labels: np.ndarray, probabilities: np.ndarray, *, each: int = _COLUMNS) -> list[tuple[int, bool]]:
    """Choose (position, right?) of crops to show: of each class some right ones, spread from sure to unsure, and the
    wrong ones that the model was surest of."""
    predicted, surest = probabilities.argmax(1), probabilities.max(1)
    chosen = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        own = own[np.argsort(-surest[own], kind="stable")]
        right, wrong = own[predicted[own] == label], own[predicted[own] != label]
        chosen += [(int(right[position]), True) for position in spread(len(right), each)]
        chosen += [(int(position), False) for position in wrong[:each]]
    return chosen


def draw_cases(model: Classifier, test: Crops, probabilities: np.ndarray, *, margin: float, title: str) -> bytes:
    """Draw the cases as PNG: right ones at the left, wrong ones at the right, a row for each class.

    Beside each crop is what spoke for the class that the model chose.
    """
    cases = choose_cases(test.labels, probabilities)
    views = fixed_views([test.items[position] for position, _ in cases], margin=margin, side_px=model.spec.crop_px)
    said = probabilities[[position for position, _ in cases]].argmax(1)
    heat = grad_cam(model, to_tensor(views, torch.device("cpu")), torch.from_numpy(said)).numpy()
    rows = np.unique(test.labels).tolist()
    width, height = 2 * _CELL_PX + _GAP_PX, _CELL_PX + _TEXT_PX
    sheet = Image.new("RGB", (2 * _COLUMNS * width + _GAP_PX, len(rows) * height + _TEXT_PX + _GAP_PX), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP_PX, _GAP_PX), title, fill=_RIGHT)
    used: dict[tuple[int, bool], int] = {}
    for (position, right), view, hot, found in zip(cases, views, heat, said.tolist(), strict=True):
        label = test.items[position].label
        column = used.get((label, right), 0)
        used[label, right] = column + 1
        x = _GAP_PX + (column + (0 if right else _COLUMNS)) * width
        y = _TEXT_PX + rows.index(label) * height
        words = [
            test.classes[label],
            f"{'' if right else f'as {test.classes[found]} '}{probabilities[position, found]:.2f}",
        ]
        for line, text in enumerate(words):
            pen.text((x, y + line * _LINE_PX), text, fill=_RIGHT if right else _WRONG)
        for number, pixels in enumerate((view, heated(view, hot))):
            cell = Image.fromarray(resize(pixels, (_CELL_PX, _CELL_PX)))
            sheet.paste(cell, (x + number * _CELL_PX, y + _TEXT_PX))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def heated(view: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay heat (H, W) in [0, 1] in colours over a picture (H, W, 3) uint8."""
    colours = cv2.cvtColor(cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    return ((1 - _HEAT_SHARE) * view + _HEAT_SHARE * colours).astype(np.uint8)
