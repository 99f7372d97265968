"""Fine-tune a captioner on pictures with captions, in a folder of its own, and measure what it gained.

checkpoint.pt            while it trains, to go on from; gone when finished
model/                   the captioner, for models.captioner.folder; with it, the run is finished
loss.png                 loss of both sides, epoch by epoch
scores.json              settings, and at the end counts and scores before and after
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from detection.captioner.scores import CaptionScores, score_captions
from detection.captioner.settings import CaptionerSettings, EpochLoss, Listener
from detection.captioner.table import CaptionTable
from detection.captioner.trainer import PictureReader, learning_rate, train_captioner, unreadable_error
from detection.pages import PLOT_STYLE, to_png
from generator.bundles import ModelRef
from generator.dataset.pictures import spread
from generator.foundation.errors import DatasetError, Fault, RunMismatchError
from generator.foundation.run_folder import CAPTIONER, check_outside, working_in
from generator.foundation.seeds import derive_rng
from generator.foundation.storage import read_json, remove, translate_os_errors, write_bytes
from generator.models.weights import fingerprint
from generator.prompts.models import BATCH_SIZE, Captioner

CHECKPOINT, PLOT, MODEL = "checkpoint.pt", "loss.png", "model"
# Pictures that are captioned before and after; with beam search, a picture takes a second or two on a CPU.
MAX_SCORED_PICTURES = 1000
SHOWN_EXAMPLES = 8
# Position below the run's seed: generator/foundation/seeds.py; detection/captioner/trainer.py has the others.
_SPLIT = 0
# The next run removes it where this one is killed.
_UNFINISHED_MODEL = ".model.part"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A picture of the validation side, what people wrote of it, and what the model said before and after."""

    picture: str
    references: tuple[str, ...]
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much there was."""

    train_pictures: int
    train_captions: int
    val_pictures: int
    val_captions: int
    scored_pictures: int
    """Pictures of the validation side that the scores are taken over."""
    skipped_rows: int
    """Rows of the table that could not be used."""
    unreadable_pictures: int


class CaptionerResult(BaseModel):
    """A finished fine-tuning, as scores.json keeps it."""

    model_config = ConfigDict(frozen=True)

    folder: Path = Field(exclude=True)
    best_epoch: int
    """From 1; the model is the one of this epoch."""
    learning_rate: float
    scores_before: CaptionScores
    scores_after: CaptionScores
    losses: tuple[EpochLoss, ...]
    counts: Counts
    unreadable: Mapping[str, str]
    """Picture -> why it could not be decoded."""
    examples: tuple[Example, ...]

    @property
    def model(self) -> Path:
        """Folder to give as models.captioner.folder."""
        return self.folder / MODEL


def fine_tune(
    table: CaptionTable,
    ref: ModelRef,
    out: Path,
    settings: CaptionerSettings,
    *,
    device: torch.device,
    offline: bool,
    overwrite: bool = False,
    listener: Listener | None = None,
) -> CaptionerResult:
    """Train the captioner `ref` on a table and save it to `out`/model; the same call again goes on after a stop.

    Of a finished run, the same call returns its result. The same seed gives the same bytes on one machine. Raises
    BoxpaintError: DatasetError for pictures that cannot be used, RunMismatchError when `out` holds something else,
    ModelError, StorageError.
    """
    listener = listener or Listener()
    train_pictures, val_pictures = split_pictures(table, val_share=settings.val_share, seed=settings.seed)
    CAPTIONER.read(out, overwrite=overwrite)
    if ref.folder:
        check_outside(out, Path(ref.folder))
    captioner = Captioner(ref, device=device, offline=offline)
    identity = {"settings": settings.model_dump(), "base": fingerprint(ref), "captions": _digest(table)}
    checkpoint = out / CHECKPOINT
    with working_in(out):
        if CAPTIONER.check(out, identity, overwrite=overwrite):
            remove(checkpoint)  # a kill may have come between the result and its removal
            return _read_result(out)
        if overwrite:
            CAPTIONER.clear(out)
        reader = PictureReader(table.images, captioner.processor.image_processor)
        train, val = (
            [(picture, caption) for picture in side for caption in table.captions[picture]]
            for side in (train_pictures, val_pictures)
        )
        notes: dict[str, Any] = {}
        if not checkpoint.exists():
            pictures = [val_pictures[number] for number in spread(len(val_pictures), MAX_SCORED_PICTURES)]
            listener.on_stage(f"captioning {len(pictures)} validation pictures with the model as it is")
            notes["before"] = _caption(captioner, pictures, reader)
            if not notes["before"]:
                raise unreadable_error("validation", pictures, reader)
        rate = learning_rate(captioner.model, settings)
        CAPTIONER.begin(out, identity)
        try:
            losses, best = train_captioner(
                captioner.model,
                captioner.processor,
                reader,
                settings,
                train=train,
                val=val,
                device=device,
                checkpoint=checkpoint,
                made_from=identity,
                notes=notes,
                listener=listener,
            )
        except BaseException:
            if not checkpoint.exists():
                CAPTIONER.clear(out)
            raise
        before: dict[str, str] = notes["before"]
        part = out / _UNFINISHED_MODEL
        remove(part)
        with translate_os_errors(part):
            captioner.model.save_pretrained(part)
            captioner.processor.save_pretrained(part)
        listener.on_stage(f"captioning {len(before)} validation pictures with the fine-tuned model")
        # As a run would load it.
        tuned = Captioner(ModelRef(folder=str(part)), device=device, offline=True)
        after = _caption(tuned, [table.images / name for name in before], reader)
        if not after:  # pictures may have gone since they were captioned before
            raise unreadable_error("validation", val_pictures, reader)
        references = {name: table.captions[table.images / name] for name in after}
        result = CaptionerResult(
            folder=out,
            best_epoch=best,
            learning_rate=rate,
            losses=losses,
            scores_before=score_captions([before[name] for name in after], [*references.values()]),
            scores_after=score_captions([*after.values()], [*references.values()]),
            counts=Counts(
                train_pictures=len(train_pictures),
                train_captions=len(train),
                val_pictures=len(val_pictures),
                val_captions=len(val),
                scored_pictures=len(after),
                skipped_rows=len(table.skipped),
                unreadable_pictures=len(reader.unreadable),
            ),
            unreadable=dict(sorted(reader.unreadable.items())),
            examples=tuple(
                Example(picture=name, references=references[name], before=before[name], after=after[name])
                for name in ([*after][number] for number in spread(len(after), SHOWN_EXAMPLES))
            ),
        )
        _draw_losses(out / PLOT, result.losses, result.best_epoch)
        about = {"base_model": ref.folder or ref.id, "table": table.file.name}
        CAPTIONER.begin(out, {**identity, **about, **result.model_dump(mode="json", by_alias=True)})
        with translate_os_errors(result.model):
            part.rename(result.model)
        remove(checkpoint)
        return result


def _read_result(out: Path) -> CaptionerResult:
    path = out / CAPTIONER.marker
    try:
        return CaptionerResult.model_validate({**read_json(path), "folder": out})
    except ValidationError as error:
        reason = error.errors()[0]
        place = ".".join(str(each) for each in reason["loc"])
        raise RunMismatchError(f"{path} is damaged ({place}: {reason['msg']}); --overwrite starts again") from None


def split_pictures(table: CaptionTable, *, val_share: float, seed: int) -> tuple[list[Path], list[Path]]:
    """Hold out a share of the pictures, at least one, each with all its captions: those to train on, those held out.

    Raises DatasetError for fewer than two pictures.
    """
    pictures = list(table.captions)
    if len(pictures) < 2:
        expected = (
            f"captions of {len(pictures)} picture; at least 2 are needed, one to train on and one to measure on "
            f"(rows skipped: {len(table.skipped)})"
        )
        raise DatasetError([Fault(file=str(table.file), expected=expected)])
    count = min(max(1, round(val_share * len(pictures))), len(pictures) - 1)
    chosen = set(derive_rng(seed, _SPLIT).permutation(len(pictures))[:count].tolist())
    sides: tuple[list[Path], list[Path]] = [], []
    for number, picture in enumerate(pictures):
        sides[number in chosen].append(picture)
    return sides


def _caption(captioner: Captioner, pictures: Sequence[Path], reader: PictureReader) -> dict[str, str]:
    """Caption the pictures that can be read, by name, a batch in memory at a time."""
    captions: dict[str, str] = {}
    for start in range(0, len(pictures), BATCH_SIZE):
        read = {reader.name(path): reader.read(path) for path in pictures[start : start + BATCH_SIZE]}
        sound = {name: picture for name, picture in read.items() if picture is not None}
        captions.update(zip(sound, captioner.caption(list(sound.values())), strict=True))
    return captions


def _digest(table: CaptionTable) -> str:
    """What identifies the pairs, wherever the pictures lie."""
    pairs = [(picture.relative_to(table.images).as_posix(), caption) for picture, caption in table.pairs]
    return "sha256:" + hashlib.sha256(json.dumps(pairs).encode()).hexdigest()


def _draw_losses(path: Path, losses: Sequence[EpochLoss], best_epoch: int) -> None:
    """Draw the loss of both sides over the epochs, with the best one marked, as a PNG file; raises StorageError."""
    epochs = [loss.epoch for loss in losses]
    best = next(loss for loss in losses if loss.epoch == best_epoch)
    with mpl.rc_context(PLOT_STYLE):
        figure = Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
        axes = figure.subplots()
        axes.plot(epochs, [loss.train for loss in losses], marker=".", label="training")
        axes.plot(epochs, [loss.val for loss in losses], marker=".", label="validation")
        axes.plot([best.epoch], [best.val], "o", ms=11, mfc="none", color="black", label=f"best: epoch {best.epoch}")
        axes.set_xlabel("epoch")
        axes.set_ylabel("cross-entropy a token, nats")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
        write_bytes(path, to_png(figure))
