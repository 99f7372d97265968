"""The training of one captioner: what the loop of generator/foundation/training.py asks for; losses a token.

Pictures are decoded while the batch before is trained on.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detection.captioner.settings import CaptionerSettings, EpochLoss, Listener
from generator.foundation import training
from generator.foundation.device import autocast
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.history import Listener as TrainingListener
from generator.foundation.seeds import derive_rng
from generator.foundation.training import Budget, Player, cosine_schedule, decay_groups, finite_loss
from generator.models.loading import pixel_values
from generator.spec.references import Reference, open_reference

# The released BLIP: its authors' rate (configs/caption_coco.yaml). The pocket's, on 240 captions of coloured discs in 5
# epochs, went from a METEOR of .34 to .71 with 3e-4 and stayed at .34 with 1e-5.
LEARNING_RATE, SMALL_LEARNING_RATE = 1e-5, 3e-4
SMALL_PARAMETERS = 50_000_000
WARMUP_SHARE = 0.05
MAX_GRADIENT_NORM = 1.0
# Positions below the run's seed, see generator/foundation/seeds.py; 0 is the split.
_ORDER, _NOISE = 1, 2
_MAX_THREADS = 8
IGNORED = -100

Pair = tuple[Path, str]


def train_captioner(
    model: Any,
    processor: Any,
    reader: PictureReader,
    settings: CaptionerSettings,
    *,
    train: Sequence[Pair],
    val: Sequence[Pair],
    device: torch.device,
    checkpoint: Path,
    made_from: Mapping[str, Any],
    notes: dict[str, Any],
    listener: Listener,
) -> tuple[tuple[EpochLoss, ...], int]:
    """Train a `BlipForConditionalGeneration`, which is on its device, and leave the weights of the best epoch in it.

    Every epoch takes each pair once, in an order of its own. `notes` goes into the checkpoint, with what is known of
    unreadable pictures. Returns the losses of all epochs and
    the number of the best, from 1. Raises DatasetError when no picture of a side can be read,
    and what generator/foundation/training.py does.
    """
    model.requires_grad_(True)
    text_config = model.config.text_config
    max_tokens = min(settings.max_tokens, int(text_config.max_position_embeddings))
    highest = learning_rate(model, settings)
    in_epoch = math.ceil(len(train) / settings.batch_size)
    budget = Budget(steps=in_epoch * settings.epochs)
    # Of the epoch in hand: the sums that its loss is the quotient of.
    notes |= {"total": 0.0, "tokens": 0, "losses": [], "unreadable": {}}
    batches: Iterator[tuple[torch.Tensor, list[str]] | None] | None = None

    def batches_from(step: int) -> Iterator[Sequence[Pair]]:
        for number in range(step, in_epoch * settings.epochs):
            epoch, batch = divmod(number, in_epoch)
            order = derive_rng(settings.seed, _ORDER, epoch + 1).permutation(len(train))
            yield [train[each] for each in order[batch * settings.batch_size : (batch + 1) * settings.batch_size]]

    def loss_of(pixels: torch.Tensor, captions: list[str]) -> tuple[torch.Tensor, int]:
        """Mean loss a token of a batch, and how many tokens that are."""
        inputs = caption_inputs(processor.tokenizer, text_config, captions, max_tokens=max_tokens)
        with autocast(device):
            output = model(pixel_values=pixels.to(device), **{name: each.to(device) for name, each in inputs.items()})
        return output.loss.float(), int((inputs["labels"][:, 1:] != IGNORED).sum())

    def loss(step: int) -> torch.Tensor | None:
        nonlocal batches
        if step % in_epoch == 0:
            notes.update(total=0.0, tokens=0)
        batches = batches or reader.batches(batches_from(step))
        batch = next(batches)
        notes["unreadable"] = reader.unreadable
        if batch is None:
            return None
        mean, tokens = loss_of(*batch)
        notes["total"], notes["tokens"] = notes["total"] + float(mean.detach()) * tokens, notes["tokens"] + tokens
        return mean

    @torch.no_grad()
    def score() -> float:
        epoch = budget.done // in_epoch
        if not notes["tokens"]:
            raise unreadable_error("training", [path for path, _ in train], reader)
        model.eval()
        total, tokens = 0.0, 0
        cut = (val[start : start + settings.batch_size] for start in range(0, len(val), settings.batch_size))
        for batch in reader.batches(cut):
            if batch is not None:
                mean, count = loss_of(*batch)
                total, tokens = total + finite_loss(mean, highest) * count, tokens + count
        if not tokens:
            raise unreadable_error("validation", [path for path, _ in val], reader)
        losses = EpochLoss(epoch=epoch, train=notes["total"] / notes["tokens"], val=total / tokens)
        notes["losses"] = [*notes["losses"][: epoch - 1], dataclasses.asdict(losses)]
        return -losses.val

    class Epochs(TrainingListener):
        def on_start(self, _: int, finished: int, /) -> None:
            reader.unreadable.update(notes["unreadable"])
            listener.on_start(settings.epochs, finished // in_epoch)

        def on_step(self, step: int, _: float, /) -> None:
            listener.on_step((step - 1) % in_epoch + 1, in_epoch)

        def on_validation(self, _: int, __: float, /, *, is_best: bool) -> None:
            listener.on_epoch(EpochLoss(**notes["losses"][-1]), is_best=is_best)

    optimizer = torch.optim.AdamW(decay_groups(model.parameters(), settings.weight_decay), lr=highest)
    player = Player(
        modules={"model": model},
        loss=loss,
        optimizer=optimizer,
        scheduler=cosine_schedule(
            optimizer, in_epoch * settings.epochs, max(1, round(WARMUP_SHARE * in_epoch * settings.epochs))
        ),
        max_gradient_norm=MAX_GRADIENT_NORM,
    )
    history = training.train(
        [player],
        budget,
        seed=settings.seed,
        position=(_NOISE,),
        device=device,
        batch_size=settings.batch_size,
        score=score,
        score_every=in_epoch,
        patience=settings.patience,
        checkpoint=checkpoint,
        made_from=made_from,
        checkpoint_every=in_epoch,
        notes=notes,
        listener=Epochs(),
    )
    return tuple(EpochLoss(**each) for each in notes["losses"]), history.best_step // in_epoch


def learning_rate(model: Any, settings: CaptionerSettings) -> float:
    """The highest rate of the schedule, by the size of the model where the settings leave it open."""
    small = sum(parameter.numel() for parameter in model.parameters()) < SMALL_PARAMETERS
    return settings.learning_rate or (SMALL_LEARNING_RATE if small else LEARNING_RATE)


def unreadable_error(side: str, pictures: Sequence[Path], reader: PictureReader) -> DatasetError:
    """What is raised where no picture of a side can be read."""
    path, reason = next(
        (path, reader.unreadable[name]) for path in pictures if (name := reader.name(path)) in reader.unreadable
    )
    expected = f"none of the {len({*pictures})} {side} pictures can be read; the first: {reason}"
    return DatasetError([Fault(file=str(path), expected=expected)])


class PictureReader:
    """Decodes pictures upright to RGB; those that cannot be decoded are left out.

    `unreadable`: name below `images` -> why.
    """

    def __init__(self, images: Path, image_processor: Any):
        self.unreadable: dict[str, str] = {}
        self._images = images
        self._image_processor = image_processor

    def name(self, path: Path) -> str:
        """A picture's path below the folder of all, which may move between a stop and going on."""
        return path.relative_to(self._images).as_posix()

    def read(self, path: Path) -> np.ndarray | None:
        """One picture, HWC uint8 RGB."""
        return self._keep(path, _decode(path))

    def batches(self, batches: Iterable[Sequence[Pair]]) -> Iterator[tuple[torch.Tensor, list[str]] | None]:
        """Yield the pixels (B, 3, H, W) and captions of each batch of (picture, caption).

        Unreadable pictures are left out of their batch; None for a batch of nothing else.
        """
        # Only Pillow works in the threads: torch would start threads of its own in each of them.
        with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
            waiting = ((batch, [pool.submit(_decode, path) for path, _ in batch]) for batch in batches)
            ahead = next(waiting, None)
            while ahead is not None:
                batch, futures = ahead
                decoded = [future.result() for future in futures]
                ahead = next(waiting, None)
                pixels, captions = [], []
                for (path, caption), outcome in zip(batch, decoded, strict=True):
                    picture = self._keep(path, outcome)
                    if picture is not None:
                        pixels.append(pixel_values(self._image_processor, picture))
                        captions.append(caption)
                yield (torch.cat(pixels), captions) if pixels else None

    def _keep(self, path: Path, outcome: np.ndarray | str) -> np.ndarray | None:
        if isinstance(outcome, str):
            self.unreadable[self.name(path)] = outcome
            return None
        return outcome


def _decode(path: Path) -> np.ndarray | str:
    """The picture, or why there is none."""
    try:
        return np.array(open_reference(Reference(path=path)))  # a copy: torch takes no read-only arrays
    except ValueError as error:
        return str(error)


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
