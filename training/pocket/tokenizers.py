"""A byte-level BPE in the form of CLIP's, learned from the grammar of blood smears."""

from __future__ import annotations

from typing import Any

from transformers import CLIPTokenizer

from generator.foundation.seeds import derive_rng
from training.pocket.grammar import EMPTY, SIZES, TONES, name_cell
from training.pocket.texts import OBJECT_KINDS, domain_line


def clip_tokenizer(vocabulary: int, positions: int, seed: int) -> Any:
    """Train a tokenizer of at most `vocabulary` tokens (512 of them bytes) for texts of `positions` tokens."""
    rng = derive_rng(seed, 4)
    texts = [name_cell(kind, size=size, tone=tone) for kind in OBJECT_KINDS for size in SIZES for tone in TONES]
    texts += [domain_line(rng, kind) for kind in (*OBJECT_KINDS, "scene") for _ in range(200)]
    tokenizer = CLIPTokenizer().train_new_from_iterator([*texts, *EMPTY], vocabulary, show_progress=False)
    tokenizer.model_max_length = positions
    return tokenizer
