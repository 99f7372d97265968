"""CLIP: pictures and texts in one space (Radford et al. 2021, arXiv 2103.00020)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import CLIPModel, CLIPProcessor

from generator.bundles import ModelRef
from generator.foundation.loading import load_with_processor, pixel_values

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
