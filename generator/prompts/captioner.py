"""BLIP: pictures -> captions, in batches (Li et al. 2022, arXiv 2201.12086)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import BlipForConditionalGeneration, BlipProcessor

from generator.bundles import ModelRef
from generator.foundation.loading import load_with_processor, pixel_values
from generator.prompts.cache import CAPTION_SETTINGS

# Rows of every batch: short ones are filled up, because kernels differ in the last bit between shapes, so that the
# caption of a picture does not depend on its company.
BATCH_SIZE = 8


class Captioner:
    """A captioning model, ready on its device. Raises ModelError when it cannot be loaded."""

    def __init__(self, ref: ModelRef, *, device: torch.device, offline: bool):
        self.device = device
        self.model, self.processor = load_with_processor(
            "captioner",
            ref,
            BlipForConditionalGeneration,
            BlipProcessor,
            kind="BLIP",
            device=device,
            offline=offline,
        )

    def caption(self, pictures: Sequence[np.ndarray], *, prefix: str = "") -> list[str]:
        """Caption pictures (HWC uint8 RGB, of any sizes); each caption begins with `prefix`."""
        captions: list[str] = []
        for start in range(0, len(pictures), BATCH_SIZE):
            batch = list(pictures[start : start + BATCH_SIZE])
            filled = batch + batch[-1:] * (BATCH_SIZE - len(batch))
            captions += self._caption_batch(filled, prefix)[: len(batch)]
        return captions

    @torch.inference_mode()
    def _caption_batch(self, pictures: list[np.ndarray], prefix: str) -> list[str]:
        pixels = torch.cat([pixel_values(self.processor.image_processor, picture) for picture in pictures])
        given: dict[str, Any] = {}
        if prefix:
            tokens = self.processor.tokenizer([prefix] * len(pictures), return_tensors="pt").to(self.device)
            given = {"input_ids": tokens.input_ids, "attention_mask": tokens.attention_mask}
        output = self.model.generate(
            pixel_values=pixels.to(self.device),
            do_sample=False,
            **CAPTION_SETTINGS,
            **given,
        )
        return [" ".join(text.split()) for text in self.processor.batch_decode(output, skip_special_tokens=True)]
