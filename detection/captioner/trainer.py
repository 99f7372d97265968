"""The training of one captioner, an epoch at a time: AdamW, warm-up and cosine, losses a token."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from detection.captioner.batches import IGNORED, caption_inputs
from detection.captioner.reader import PictureReader
from detection.captioner.settings import CaptionerSettings
from detection.optimisation import decayed_groups, deterministic, finite, memory_explained, rate_share
from generator.foundation.device import autocast
from generator.foundation.seeds import derive_rng, derive_seed

Pair = tuple[Path, str]

# The released BLIP: its authors' rate (configs/caption_coco.yaml). The pocket's, on 240 captions of coloured discs in 5
# epochs, went from a METEOR of .34 to .71 with 3e-4 and stayed at .34 with 1e-5.
LEARNING_RATE, SMALL_LEARNING_RATE = 1e-5, 3e-4
SMALL_PARAMETERS = 50_000_000
WARMUP_SHARE = 0.05
MAX_GRADIENT_NORM = 1.0
# Positions below the run's seed, see generator/foundation/seeds.py; 0 is the split.
_ORDER, _NOISE = 1, 2


class Trainer:
    """A model (`BlipForConditionalGeneration`, on its device), its processor, and where its training stands."""

    def __init__(
        self,
        model: Any,
        processor: Any,
        reader: PictureReader,
        settings: CaptionerSettings,
        *,
        pairs: int,
        device: torch.device,
    ):
        self.model = model.requires_grad_(True)
        self.tokenizer = processor.tokenizer
        self.reader = reader
        self.settings = settings
        self.device = device
        self.text_config = model.config.text_config
        self.max_tokens = min(settings.max_tokens, int(self.text_config.max_position_embeddings))
        self.learning_rate = settings.learning_rate or default_learning_rate(model)
        self.steps = math.ceil(pairs / settings.batch_size)
        groups = decayed_groups(model.parameters(), settings.weight_decay)
        self.optimiser = torch.optim.AdamW(groups, lr=self.learning_rate)
        # Of the epoch in hand: steps that are trained, and the sums that its loss is the quotient of.
        self._done, self._total, self._tokens = 0, 0.0, 0

    def train_epoch(self, pairs: Sequence[Pair], epoch: int, on_step: Callable[[int, int], None]) -> float:
        """Train on every pair once, in an order of this epoch's own, or on what is left of it after `load`.

        Returns the mean loss a token, NaN when no picture could be read. Raises ModelError when the loss is no number,
        or memory runs out.
        """
        order = derive_rng(self.settings.seed, _ORDER, epoch).permutation(len(pairs))
        known = self.reader.unreadable
        # As the reader leaves out a batch of nothing else.
        batches = [
            batch
            for batch in self._cut([pairs[position] for position in order])
            if any(path not in known for path, _ in batch)
        ]
        self.model.train()
        with deterministic(self.device), memory_explained(self.device, self.settings.batch_size):
            for pixels, captions in self.reader.batches(batches[self._done :]):
                torch.manual_seed(derive_seed(self.settings.seed, _NOISE, epoch, self._done))
                self._set_rate((epoch - 1) * self.steps + self._done)
                loss, count = self._loss(pixels, captions)
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), MAX_GRADIENT_NORM)
                self.optimiser.step()
                self._done += 1
                self._total, self._tokens = self._total + float(loss.detach()) * count, self._tokens + count
                on_step(self._done, self.steps)
        mean = self._total / self._tokens if self._tokens else math.nan
        self._done, self._total, self._tokens = 0, 0.0, 0
        return mean

    @torch.no_grad()
    def validate(self, pairs: Sequence[Pair]) -> float:
        """Mean loss a token over pairs that are not trained on; NaN when no picture could be read."""
        self.model.eval()
        total, tokens = 0.0, 0
        with memory_explained(self.device, self.settings.batch_size):
            for pixels, captions in self.reader.batches(self._cut(pairs)):
                loss, count = self._loss(pixels, captions)
                total, tokens = total + float(loss) * count, tokens + count
        return total / tokens if tokens else math.nan

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of the model's weights, in the computer's own memory."""
        return {name: value.detach().to("cpu", copy=True) for name, value in self.model.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """Everything to go on from."""
        epoch = {"done": self._done, "total": self._total, "tokens": self._tokens}
        return {"model": self.weights(), "optimiser": self.optimiser.state_dict(), "epoch": epoch}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        epoch = state["epoch"]
        self._done, self._total, self._tokens = epoch["done"], epoch["total"], epoch["tokens"]

    def _cut(self, pairs: Sequence[Pair]) -> list[Sequence[Pair]]:
        size = self.settings.batch_size
        return [pairs[start : start + size] for start in range(0, len(pairs), size)]

    def _loss(self, pixels: torch.Tensor, captions: list[str]) -> tuple[Any, int]:
        """Mean loss a token of a batch, and how many tokens that are."""
        inputs = caption_inputs(self.tokenizer, self.text_config, captions, max_tokens=self.max_tokens)
        with autocast(self.device):
            output = self.model(
                pixel_values=pixels.to(self.device),
                input_ids=inputs["input_ids"].to(self.device),
                attention_mask=inputs["attention_mask"].to(self.device),
                labels=inputs["labels"].to(self.device),
            )
        loss = output.loss.float()
        finite(loss, self.learning_rate)
        return loss, int((inputs["labels"][:, 1:] != IGNORED).sum())

    def _set_rate(self, step: int) -> None:
        total = self.steps * self.settings.epochs
        share = rate_share(step, total, max(1, round(WARMUP_SHARE * total)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate * share


def default_learning_rate(model: Any) -> float:
    """The highest rate for a model of this size."""
    small = sum(parameter.numel() for parameter in model.parameters()) < SMALL_PARAMETERS
    return SMALL_LEARNING_RATE if small else LEARNING_RATE
