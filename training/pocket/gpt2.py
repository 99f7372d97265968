"""The pocket's GPT-2: captions continue as captions, and a white blood cell stays one.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", at 3.5 M parameters. A document is a few
lines that belong together, so that the lines before one steer it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

from detection.painter.learning import Learner
from generator.foundation.device import autocast
from training.pocket.grammar import OBJECT_KINDS, documents, domain_line, read_captions, split_captions
from training.pocket.session import Session, identify, learn

END = "<|endoftext|>"
DOMAIN_SHARE = 0.35
HELD_OUT_DOMAIN_LINES = 400


@dataclass(frozen=True, kw_only=True)
class Gpt2Recipe:
    """Sizes and schedule."""

    vocabulary: int = 4000
    width: int = 192
    layers: int = 6
    heads: int = 6
    positions: int = 128
    batch_size: int = 32
    learning_rate: float = 2e-3


def made_from(session: Session, _out: Path, recipe: Gpt2Recipe) -> dict[str, str]:
    """Name what the training is made from."""
    return identify("gpt2", session, recipe, photos=False, captions=True)


def train(session: Session, out: Path, recipe: Gpt2Recipe) -> None:
    """Train and save to `out`."""
    lines, _ = split_captions(read_captions(session.captions), session.seed)
    rng = session.rng(1)
    domain = [domain_line(rng, kind) for kind in (*OBJECT_KINDS, "scene") for _ in range(500)]
    tokenizer = GPT2Tokenizer().train_new_from_iterator(
        ["\n".join(lines[i : i + 4]) for i in range(0, len(lines), 4)] + domain, recipe.vocabulary, show_progress=False
    )
    end = tokenizer.convert_tokens_to_ids(END)
    torch.manual_seed(session.seed)
    model: Any = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=recipe.positions,
            n_embd=recipe.width,
            n_layer=recipe.layers,
            n_head=recipe.heads,
            bos_token_id=end,
            eos_token_id=end,
            resid_pdrop=0.1,
            embd_pdrop=0.1,
            attn_pdrop=0.1,
        )
    )
    model.to(session.device)

    def loss(rng: np.random.Generator, _progress: float) -> torch.Tensor:
        rows = _windows(lines, tokenizer, recipe, rng).to(session.device)
        with autocast(session.device):
            return model(input_ids=rows, labels=rows).loss.float()

    learner = Learner(modules={"gpt2": model}, loss=loss, learning_rate=recipe.learning_rate, weight_decay=0.1)
    origin = made_from(session, out, recipe)
    learn("gpt2", [learner], session, out.parent, batch_size=recipe.batch_size, made_from=origin)
    model.half().save_pretrained(out)
    tokenizer.save_pretrained(out)


def evaluate(session: Session, folder: Path) -> dict[str, float]:
    """Perplexity per token of held-out captions and of fresh domain lines, each line after an end-of-text."""
    tokenizer = GPT2Tokenizer.from_pretrained(folder)
    model: Any = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    model.to(session.device).eval()
    _, held_out = split_captions(read_captions(session.captions), session.seed)
    rng = session.rng(2)
    domain = [
        domain_line(rng, kind) for kind in ("white blood cell", "platelet") for _ in range(HELD_OUT_DOMAIN_LINES // 2)
    ]
    return {
        "GPT-2 perplexity, held-out captions": _perplexity(model, tokenizer, held_out, session.device),
        "GPT-2 perplexity, domain lines": _perplexity(model, tokenizer, domain, session.device),
        "GPT-2 parameters, millions": sum(parameter.numel() for parameter in model.parameters()) / 1e6,
    }


def _windows(lines: Sequence[str], tokenizer: Any, recipe: Gpt2Recipe, rng: np.random.Generator) -> torch.Tensor:
    """Token ids (batch, positions): documents one after the other, cut where the row is full."""
    source = documents(lines, DOMAIN_SHARE, rng)
    rows = []
    for _ in range(recipe.batch_size):
        row: list[int] = []
        while len(row) < recipe.positions:
            row += tokenizer(END + "\n".join(next(source)) + "\n").input_ids
        rows.append(row[: recipe.positions])
    return torch.tensor(rows)


@torch.inference_mode()
def _perplexity(model: Any, tokenizer: Any, lines: Sequence[str], device: torch.device) -> float:
    total, count = 0.0, 0
    for line in lines:
        ids = torch.tensor([tokenizer(f"{END}{line}\n").input_ids], device=device)
        total += float(model(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1)
        count += ids.shape[1] - 1
    return math.exp(total / count)
