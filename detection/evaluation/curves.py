"""Precision over recall, drawn."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from detection.coco_metrics import IOU_THRESHOLDS, RECALL_THRESHOLDS, SetScores

_STYLE: Any = {"text.parse_math": False, "font.size": 9}
_SHOWN_IOUS = (0.5, 0.75)


def draw_precision_recall(scores: SetScores) -> bytes:
    """Draw precision over recall of every category with labels, at IoU 0.50 and 0.75 side by side, as a PNG file."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.6 * len(_SHOWN_IOUS), 4.0), dpi=150, layout="constrained")
        for axes, iou in zip(figure.subplots(1, len(_SHOWN_IOUS), sharey=True), _SHOWN_IOUS, strict=True):
            for number, (name, category) in enumerate(scores.of_category.items()):
                precision = scores.precision[IOU_THRESHOLDS.index(iou), :, number]
                if category.objects:
                    axes.plot(RECALL_THRESHOLDS, precision, label=f"{name}: AP {precision.mean():.3f}")
            axes.set_title(f"IoU {iou:.2f}")
            axes.set_xlabel("recall")
            axes.set_xlim(0, 1.01)
            axes.set_ylim(0, 1.03)
            axes.grid(alpha=0.3)
            if any(category.objects for category in scores.of_category.values()):
                axes.legend(loc="lower left")
        figure.axes[0].set_ylabel("precision")
        buffer = io.BytesIO()
        # Without a version in it, equal scores give equal bytes.
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
