"""Captions -> what BLIP's text decoder is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

IGNORED = -100


def caption_inputs(
    tokenizer: Any, text_config: Any, captions: Sequence[str], *, max_tokens: int
) -> dict[str, torch.Tensor]:
    """Tokens, mask and labels (B, T) of captions, for `BlipForConditionalGeneration`.

    The first token is the decoder's own start, as in generation and in the original training code
    (https://github.com/salesforce/BLIP/blob/main/models/blip.py); padding does not count in the loss, which
    transformers 5 leaves to its caller.
    """
    tokens = tokenizer(list(captions), padding=True, truncation=True, max_length=max_tokens, return_tensors="pt")
    ids, mask = tokens.input_ids, tokens.attention_mask
    ids[:, 0] = text_config.bos_token_id
    labels = ids.masked_fill(mask == 0, IGNORED)
    labels[:, 0] = IGNORED
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
