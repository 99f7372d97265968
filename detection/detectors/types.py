"""What every detector takes and gives. A new one is one file and one line in registry.py; contract tests cover all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from detection.datasets.types import DetectionDataset, Detections
from detection.detectors.settings import FitSettings
from generator.foundation.history import History, Listener


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingMix:
    """Data sets to draw batches from, and the share of pictures that comes from each.

    Shares are above 0 and sum to 1. Each set is gone through in shuffled rounds, so that a small set repeats.
    """

    sets: tuple[DetectionDataset, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.sets or len(self.sets) != len(self.shares):
            raise ValueError("a mix needs data sets and a share for each")
        if any(share <= 0 for share in self.shares) or abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"shares must be above 0 and sum to 1, not {self.shares}")
        if any(data.categories != self.sets[0].categories for data in self.sets):
            raise ValueError("the data sets of a mix need the same categories")
        if any(not data.samples for data in self.sets):
            raise ValueError("a data set of the mix has no pictures")

    @classmethod
    def of(cls, data: DetectionDataset) -> TrainingMix:
        """One data set alone."""
        return cls(sets=(data,), shares=(1.0,))


class Predictor(Protocol):
    """What finds objects of some categories in pictures, (H, W, 3) uint8 RGB of any size."""

    categories: tuple[str, ...]

    def predict(self, pictures: Sequence[np.ndarray], *, with_masks: bool = True) -> list[Detections]:
        """Find objects; one answer for each picture, in order. Deterministic.

        Without `with_masks` boxes alone: masks of many large pictures do not fit into memory. Raises ModelError when
        memory does not suffice for one picture.
        """
        ...


class Detector(Predictor, Protocol):
    """A predictor that can be trained and kept."""

    def fit(
        self,
        mix: TrainingMix,
        settings: FitSettings,
        *,
        seed: int,
        validation: DetectionDataset | None = None,
        checkpoint: Path | None = None,
        listener: Listener | None = None,
    ) -> History:
        """Train for `settings.steps` steps, from the weights it has.

        The same weights, mix, settings and seed on the same machine give the same weights. With `validation` the
        weights with the best AP are kept, and `settings.patience` may stop it early. With `checkpoint` (a folder of its
        own) an interrupted call goes on where it stopped and ends with the very same weights. Raises ModelError when
        the loss is no number or memory runs out.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write model.json (name, categories, options) and weights that load without running code."""
        ...
