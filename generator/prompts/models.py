"""The models of the prompt book: BLIP captions pictures, GPT-2 writes lines, an embedder compares texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    BlipForConditionalGeneration,
    BlipProcessor,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
)

from generator.bundles import ModelRef
from generator.config import PromptsConfig
from generator.models.loading import load_from, load_with_processor, pixel_values, with_words
from generator.models.vision_language import Clip
from generator.prompts.sources import CAPTION_SETTINGS

# Rows of every batch: short ones are filled up, because kernels differ in the last bit between shapes, so that the
# caption of a picture does not depend on its company.
BATCH_SIZE = 8
TOKENS_PER_WORD = 2


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


class Enricher:
    """A GPT-2, ready on its device. Raises ModelError when it cannot be loaded."""

    def __init__(self, ref: ModelRef, *, device: torch.device, offline: bool):
        def load(source: str, hub: dict[str, Any], weights: dict[str, Any]) -> tuple[Any, Any]:
            model = GPT2LMHeadModel.from_pretrained(source, dtype=torch.float32, **weights)
            return model, with_words(GPT2Tokenizer.from_pretrained(source, **hub))

        self.device = device
        model, self.tokenizer = load_from(
            "enricher",
            ref,
            load,
            marker="config.json",
            layout="config.json, model.safetensors and a tokenizer of GPT-2",
            device=device,
            offline=offline,
        )
        self.model = model.requires_grad_(False).eval().to(device)
        self._newline = self.tokenizer("\n").input_ids[-1]
        self._end = int(self.model.config.eos_token_id)

    @torch.inference_mode()
    def write(self, seeds: Sequence[str], openings: Sequence[str], settings: PromptsConfig, *, seed: int) -> list[str]:
        """Write one line for each opening ("" begins a new one), after the lines `seeds`; all in one batch.

        Each result holds its opening. The same arguments give the same lines on the same kind of machine.
        """
        lines = [self._end, *self.tokenizer("".join(f"{line}\n" for line in seeds)).input_ids]
        begun = [self.tokenizer(opening).input_ids for opening in openings]
        positions = int(self.model.config.n_positions)
        new_tokens = min(TOKENS_PER_WORD * settings.max_words, positions // 2)
        room = positions - new_tokens
        # What is too long loses its oldest lines.
        rows = [[*lines, *opening][-room:] for opening in begun]
        width = max(map(len, rows))
        ids = torch.tensor([[self._end] * (width - len(row)) + row for row in rows], device=self.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self.device)
        # The penalty is for what is being written: the class noun stands in every line above it.
        penalty = RepetitionPenaltyLogitsProcessor(settings.repetition_penalty, prompt_ignore_length=width)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            output = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=new_tokens,
                do_sample=True,
                temperature=settings.temperature,
                top_p=settings.top_p,
                top_k=0,
                logits_processor=LogitsProcessorList([penalty]),
                eos_token_id=[self._newline, self._end],
                pad_token_id=self._end,
            )
        written = self.tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
        return [f"{opening}{text}".split("\n", 1)[0] for opening, text in zip(openings, written, strict=True)]


class SentenceEmbedder:
    """A model of sentence-transformers (Reimers and Gurevych 2019, arXiv 1908.10084)."""

    def __init__(self, ref: ModelRef, *, device: torch.device, offline: bool):
        # Imports scikit-learn and scipy, a second: only for bundles that use it.
        from sentence_transformers import SentenceTransformer

        def load(source: str, hub: dict[str, Any], weights: dict[str, Any]) -> Any:
            kind = {"use_safetensors": weights["use_safetensors"]}
            model = SentenceTransformer(source, device=str(device), model_kwargs=kind, **hub)
            with_words(model.tokenizer)
            return model

        self.model = load_from(
            "embedder",
            ref,
            load,
            marker="modules.json",
            layout="modules.json and what it lists, in the layout of sentence-transformers, or a CLIP",
            device=device,
            offline=offline,
        ).float()

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(N, D) float32 unit vectors; one text at a time, so that none depends on its company."""
        rows = [
            self.model.encode([text], normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True)
            for text in texts
        ]
        return np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)


Embedder = Clip | SentenceEmbedder


def load_embedder(ref: ModelRef, *, device: torch.device, offline: bool) -> Embedder:
    """Load a CLIP from a folder of one, else a model of sentence-transformers. Raises ModelError."""
    folder = Path(ref.folder) if ref.folder else None
    if folder is not None and folder.is_dir() and not (folder / "modules.json").is_file():
        return Clip("embedder", ref, device=device, offline=offline)
    return SentenceEmbedder(ref, device=device, offline=offline)
