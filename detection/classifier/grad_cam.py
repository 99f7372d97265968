"""Where a classifier looks: Grad-CAM, Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391."""

from __future__ import annotations

import torch

from detection.classifier.models import Classifier


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
