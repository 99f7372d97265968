"""GPT-2: a few lines about the same thing -> more such lines (Radford et al. 2019).

The lines before one steer it: no model needs to be told what the task is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    GPT2LMHeadModel,
    GPT2Tokenizer,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
)

from generator.bundles import ModelRef
from generator.foundation.loading import load_from, with_words

TOKENS_PER_WORD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How freely to write."""

    temperature: float
    top_p: float
    repetition_penalty: float
    max_words: int


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
    def write(self, seeds: Sequence[str], openings: Sequence[str], sampling: Sampling, *, seed: int) -> list[str]:
        """Write one line for each opening ("" begins a new one), after the lines `seeds`; all in one batch.

        Each result holds its opening. The same arguments give the same lines on the same kind of machine.
        """
        lines = [self._end, *self.tokenizer("".join(f"{line}\n" for line in seeds)).input_ids]
        begun = [self.tokenizer(opening).input_ids for opening in openings]
        positions = int(self.model.config.n_positions)
        new_tokens = min(TOKENS_PER_WORD * sampling.max_words, positions // 2)
        room = positions - new_tokens
        # What is too long loses its oldest lines.
        rows = [[*lines, *opening][-room:] for opening in begun]
        width = max(map(len, rows))
        ids = torch.tensor([[self._end] * (width - len(row)) + row for row in rows], device=self.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self.device)
        # The penalty is for what is being written: the class noun stands in every line above it.
        penalty = RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty, prompt_ignore_length=width)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            output = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=new_tokens,
                do_sample=True,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=0,
                logits_processor=LogitsProcessorList([penalty]),
                eos_token_id=[self._newline, self._end],
                pad_token_id=self._end,
            )
        written = self.tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
        return [f"{opening}{text}".split("\n", 1)[0] for opening, text in zip(openings, written, strict=True)]
