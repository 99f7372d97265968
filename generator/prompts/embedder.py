"""Texts -> unit vectors whose product says how much they mean the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from generator.bundles import ModelRef
from generator.foundation.clip import Clip
from generator.foundation.loading import load_from, with_words


class Embedder(Protocol):
    """Anything that embeds texts."""

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(N, D) float32 unit vectors."""


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


def load_embedder(ref: ModelRef, *, device: torch.device, offline: bool) -> Embedder:
    """Load a CLIP from a folder of one, else a model of sentence-transformers. Raises ModelError."""
    folder = Path(ref.folder) if ref.folder else None
    if folder is not None and folder.is_dir() and not (folder / "modules.json").is_file():
        return Clip("embedder", ref, device=device, offline=offline)
    return SentenceEmbedder(ref, device=device, offline=offline)
