"""CLIP and OWLv2: models that compare pictures with words, and find in them what words describe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import CLIPModel, CLIPProcessor, Owlv2ForObjectDetection, Owlv2Processor

from generator.bundles import ModelRef
from generator.foundation.geometry import Box
from generator.models.loading import load_with_processor, pixel_values

BATCH_SIZE = 8


class Clip:
    """A CLIP model, ready on its device. Raises ModelError when it cannot be loaded."""

    def __init__(self, role: str, ref: ModelRef, *, device: torch.device, offline: bool):
        self.device = device
        self.model, self.processor = load_with_processor(
            role, ref, CLIPModel, CLIPProcessor, kind="CLIP", device=device, offline=offline
        )
        self.logit_scale = float(self.model.logit_scale.detach().exp())
        """By what cosines are multiplied before a softmax over texts."""

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(N, D) float32 unit vectors; one text at a time, so that none depends on its company."""
        positions = int(self.model.config.text_config.max_position_embeddings)
        rows = []
        for text in texts:
            tokens = self.processor.tokenizer([text], truncation=True, max_length=positions, return_tensors="pt")
            seen = self.model.text_model(tokens.input_ids.to(self.device), tokens.attention_mask.to(self.device))
            rows.append(_unit(self.model.text_projection(seen.pooler_output)))
        return self._stacked(rows)

    @torch.inference_mode()
    def embed_pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """(N, D) float32 unit vectors of pictures (HWC uint8 RGB, of any sizes).

        In batches of one size, filled up with nothing, so that none depends on its company.
        """
        rows = []
        for start in range(0, len(pictures), BATCH_SIZE):
            batch = pictures[start : start + BATCH_SIZE]
            # Copies: the processor wants arrays that it may write to.
            pixels = torch.cat([pixel_values(self.processor.image_processor, np.array(picture)) for picture in batch])
            filled = torch.cat([pixels, pixels.new_zeros(BATCH_SIZE - len(batch), *pixels.shape[1:])])
            seen = self.model.vision_model(filled.to(self.device))
            rows.append(_unit(self.model.visual_projection(seen.pooler_output))[: len(batch)])
        return self._stacked(rows)

    def _stacked(self, rows: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(rows) if rows else np.zeros((0, int(self.model.config.projection_dim)), np.float32)


def _unit(features: torch.Tensor) -> np.ndarray:
    rows: np.ndarray = torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()
    return rows


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
