"""OWLv2: finds what a text describes, and where (Minderer et al. 2023, arXiv 2306.09683)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import Owlv2ForObjectDetection, Owlv2Processor

from generator.bundles import ModelRef
from generator.foundation.geometry import Box
from generator.foundation.loading import load_with_processor

MIN_SCORE = 0.05


class Owl:
    """An OWLv2 model, ready on its device. Raises ModelError when it cannot be loaded."""

    def __init__(self, role: str, ref: ModelRef, *, device: torch.device, offline: bool):
        self.device = device
        self.model, self.processor = load_with_processor(
            role, ref, Owlv2ForObjectDetection, Owlv2Processor, kind="OWLv2", device=device, offline=offline
        )

    @torch.inference_mode()
    def find(self, picture: np.ndarray, texts: Sequence[str]) -> list[tuple[Box, float]]:
        """Find what any of the texts describes in a picture (HWC uint8 RGB): boxes with scores, the best first."""
        height, width = picture.shape[:2]
        positions = int(self.model.config.text_config.max_position_embeddings)
        inputs = self.processor(
            text=[list(texts)],
            images=[picture.copy()],  # the processor wants an array that it may write to
            return_tensors="pt",
            padding="max_length",
            truncation=True,
            max_length=positions,
        ).to(self.device)
        answer = self.processor.post_process_grounded_object_detection(
            self.model(**inputs), threshold=MIN_SCORE, target_sizes=[(height, width)]
        )[0]
        found = []
        for edges, score in zip(answer["boxes"].cpu().numpy(), answer["scores"].cpu().tolist(), strict=True):
            x_min, y_min, x_max, y_max = np.clip(np.rint(edges), 0, [width, height, width, height]).astype(int).tolist()
            if x_max > x_min and y_max > y_min:
                found.append((Box(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max), float(score)))
        return sorted(found, key=lambda each: -each[1])
