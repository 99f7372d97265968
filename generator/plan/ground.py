"""How light the ground is around places of a picture: real objects do not lie just anywhere.

Platelets float between the red cells, a boat lies in the water, smoke stands before the sky. What can be said of that
without knowing what is in the picture is where a place ranks among others of its size by the lightness around it. Being
a rank, it holds under another exposure and another stain.
"""

from __future__ import annotations

import cv2
import numpy as np

# Other places of the same size that one is ranked among.
RANKED_AMONG = 128
# Side of the surroundings, in sides of the box. The narrower, the better it tells real platelets' places from any (mean
# rank .75 against .60; twice as large: .71 against .60), but a box that people draw holds some ground itself.
REACH = 1.5


class Ground:
    """The lightness around boxes of one picture (HWC uint8, RGB)."""

    def __init__(self, picture: np.ndarray):
        lightness = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        self.height, self.width = lightness.shape
        self._sums = cv2.integral(lightness, sdepth=cv2.CV_64F)

    def around(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Mean lightness (N,) of the ring between boxes (N, 4) and boxes REACH times as large, inside the picture.

        NaN where nothing of the ring is.
        """
        inner = np.rint(np.asarray(boxes_xyxy, float).reshape(-1, 4))
        margin = (inner[:, 2:] - inner[:, :2]) * (REACH - 1) / 2
        outer = np.rint(np.concatenate([inner[:, :2] - margin, inner[:, 2:] + margin], axis=1))
        (inner_sum, inner_area), (outer_sum, outer_area) = self._sum(inner), self._sum(outer)
        area = outer_area - inner_area
        means = np.full(len(inner), np.nan)
        return np.divide(outer_sum - inner_sum, area, out=means, where=area > 0)

    def ranks(self, boxes_xyxy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Share (N,) of places of a picture that have darker surroundings than boxes (N, 4) of one size have.

        One half where the picture has no other place for a box of this size.
        """
        boxes = np.asarray(boxes_xyxy, float).reshape(-1, 4)
        width, height = boxes[0, 2:] - boxes[0, :2] if len(boxes) else (0.0, 0.0)
        x = rng.random(RANKED_AMONG) * max(0.0, self.width - width)
        y = rng.random(RANKED_AMONG) * max(0.0, self.height - height)
        others = self.around(np.stack([x, y, x + width, y + height], axis=1))
        others = others[~np.isnan(others)]
        lightness = self.around(boxes)[:, None]
        if not len(others):
            return np.full(len(boxes), 0.5)
        # A place as light as others lies in the middle of them.
        ranks = ((others < lightness).mean(axis=1) + (others <= lightness).mean(axis=1)) / 2
        return np.where(np.isnan(lightness[:, 0]), 0.5, ranks)

    def _sum(self, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x_min, x_max = (boxes[:, axis].clip(0, self.width).astype(int) for axis in (0, 2))
        y_min, y_max = (boxes[:, axis].clip(0, self.height).astype(int) for axis in (1, 3))
        sums = self._sums
        total = sums[y_max, x_max] - sums[y_min, x_max] - sums[y_max, x_min] + sums[y_min, x_min]
        return total, (x_max - x_min) * (y_max - y_min)
