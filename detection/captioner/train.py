"""Fine-tune a captioner on pictures with captions, and measure what it gained."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from detection.captioner.folder import PLOT, TuningFolder, check_is_ours, tuning
from detection.captioner.reader import PictureReader
from detection.captioner.report import draw_losses
from detection.captioner.result import CaptionerResult, Counts, Example
from detection.captioner.scores import score_captions
from detection.captioner.settings import CaptionerSettings, EpochLoss, Listener, best_epoch, is_over
from detection.captioner.split import Split, split_pictures
from detection.captioner.table import CaptionTable
from detection.captioner.trainer import Trainer
from detection.optimisation import Checkpoints
from generator.bundles import ModelRef
from generator.dataset.pictures import spread
from generator.foundation.errors import BoxpaintError, DatasetError, Fault
from generator.prompts.models import BATCH_SIZE, Captioner
from generator.weights import fingerprint

# Pictures that are captioned before and after; with beam search, a picture takes a second or two on a CPU.
MAX_SCORED_PICTURES = 1000
SHOWN_EXAMPLES = 8


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
    split = split_pictures(table, val_share=settings.val_share, seed=settings.seed)
    check_is_ours(out, overwrite=overwrite)
    if ref.folder and Path(ref.folder).resolve().is_relative_to(out.resolve()):
        raise BoxpaintError(f"{out}: the base model lies in this folder ({ref.folder}); choose another with --out")
    captioner = Captioner(ref, device=device, offline=offline)
    identity = {
        "settings": dataclasses.asdict(settings),
        "base": fingerprint(ref),
        "captions": _digest(table),
    }
    with tuning(out):
        folder = TuningFolder(out, identity)
        if overwrite:
            folder.clear()
        finished = folder.read_result()
        if finished is not None:
            folder.remove_checkpoint()  # a kill may have come between the result and its removal
            return finished
        job = _Job(
            table=table,
            captions=table.captions,
            split=split,
            ref=ref,
            captioner=captioner,
            reader=PictureReader(captioner.processor.image_processor),
            folder=folder,
            settings=settings,
            listener=listener,
        )
        trainer, progress = _train(job)
        return _finish(job, trainer, progress)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Job:
    """All that is given to one fine-tuning."""

    table: CaptionTable
    captions: Mapping[Path, tuple[str, ...]]
    split: Split
    ref: ModelRef
    captioner: Captioner
    reader: PictureReader
    folder: TuningFolder
    settings: CaptionerSettings
    listener: Listener


@dataclass(slots=True, kw_only=True)
class _Progress:
    """Where a fine-tuning stands."""

    before: dict[Path, str]
    """Captions of the base model."""
    losses: list[EpochLoss]
    best: dict[str, torch.Tensor]
    """Weights of the best epoch so far."""


def _train(job: _Job) -> tuple[Trainer, _Progress]:
    """Train until it is over, from the beginning or from the checkpoint; leaves the best weights in the model."""
    train = [(picture, caption) for picture in job.split.train for caption in job.captions[picture]]
    val = [(picture, caption) for picture in job.split.val for caption in job.captions[picture]]
    state = job.folder.read_checkpoint()
    if state is None:
        pictures = [job.split.val[number] for number in spread(len(job.split.val), MAX_SCORED_PICTURES)]
        job.listener.on_stage(f"captioning {len(pictures)} validation pictures with the model as it is")
        progress = _Progress(before=_caption(job.captioner, pictures, job.reader), losses=[], best={})
        if not progress.before:
            raise _unreadable_error("validation", pictures, job.reader)
    trainer = Trainer(
        job.captioner.model,
        job.captioner.processor,
        job.reader,
        job.settings,
        pairs=len(train),
        device=job.captioner.device,
    )
    if state is not None:
        progress = _load_progress(state, job.table.images, trainer)
    job.listener.on_start(job.settings.epochs, len(progress.losses))

    def save() -> None:
        job.folder.save_checkpoint(_state_of(progress, job.table.images, trainer))

    with Checkpoints(save) as checkpoints:

        def on_step(step: int, steps: int) -> None:
            job.listener.on_step(step, steps)
            checkpoints.after_step()

        while not is_over(progress.losses, job.settings):
            epoch = len(progress.losses) + 1
            train_loss = trainer.train_epoch(train, epoch, on_step)
            if math.isnan(train_loss):
                raise _unreadable_error("training", job.split.train, job.reader)
            val_loss = trainer.validate(val)
            if math.isnan(val_loss):
                raise _unreadable_error("validation", job.split.val, job.reader)
            loss = EpochLoss(epoch=epoch, train=train_loss, val=val_loss)
            progress.losses.append(loss)
            is_best = best_epoch(progress.losses) == epoch
            if is_best:
                progress.best = trainer.weights()
            checkpoints.after_step(is_due=True)
            job.listener.on_epoch(loss, is_best=is_best)
    trainer.model.load_state_dict(progress.best)
    return trainer, progress


def _state_of(progress: _Progress, images: Path, trainer: Trainer) -> dict[str, Any]:
    """What goes into a checkpoint; pictures by their path below the folder, which may have moved when it goes on."""
    return {
        **trainer.state(),
        "best": progress.best,
        "losses": [dataclasses.asdict(loss) for loss in progress.losses],
        "before": {_name(path, images): caption for path, caption in progress.before.items()},
        "unreadable": {_name(path, images): reason for path, reason in sorted(trainer.reader.unreadable.items())},
    }


def _load_progress(state: Mapping[str, Any], images: Path, trainer: Trainer) -> _Progress:
    trainer.load(state)
    trainer.reader.unreadable.update({images / name: reason for name, reason in state["unreadable"].items()})
    return _Progress(
        before={images / name: caption for name, caption in state["before"].items()},
        losses=[EpochLoss(**loss) for loss in state["losses"]],
        best=state["best"],
    )


def _finish(job: _Job, trainer: Trainer, progress: _Progress) -> CaptionerResult:
    """Save the model, caption with it as a run would load it, and write what came of it."""
    part = job.folder.save_model(trainer.model, job.captioner.processor)
    job.listener.on_stage(f"captioning {len(progress.before)} validation pictures with the fine-tuned model")
    tuned = Captioner(ModelRef(folder=str(part)), device=job.captioner.device, offline=True)
    after = _caption(tuned, list(progress.before), job.reader)
    scored = list(after)  # a picture may have gone since it was captioned before
    if not scored:
        raise _unreadable_error("validation", job.split.val, job.reader)
    references = [job.captions[picture] for picture in scored]
    images, unreadable = job.table.images, job.reader.unreadable
    result = CaptionerResult(
        folder=job.folder.folder,
        best_epoch=best_epoch(progress.losses),
        learning_rate=trainer.learning_rate,
        losses=tuple(progress.losses),
        before=score_captions([progress.before[picture] for picture in scored], references),
        after=score_captions([after[picture] for picture in scored], references),
        counts=Counts(
            train_pictures=len(job.split.train),
            train_captions=sum(len(job.captions[picture]) for picture in job.split.train),
            val_pictures=len(job.split.val),
            val_captions=sum(len(job.captions[picture]) for picture in job.split.val),
            scored_pictures=len(scored),
            skipped_rows=len(job.table.skipped),
            unreadable_pictures=len(unreadable),
        ),
        unreadable={_name(path, images): reason for path, reason in sorted(unreadable.items())},
        examples=tuple(
            Example(
                picture=_name(scored[number], images),
                references=references[number],
                before=progress.before[scored[number]],
                after=after[scored[number]],
            )
            for number in spread(len(scored), SHOWN_EXAMPLES)
        ),
    )
    draw_losses(job.folder.folder / PLOT, result.losses, result.best_epoch)
    job.folder.finish(result, about={"base_model": job.ref.folder or job.ref.id, "table": job.table.file.name})
    return result


def _caption(captioner: Captioner, pictures: Sequence[Path], reader: PictureReader) -> dict[Path, str]:
    """Caption the pictures that can be read, a batch in memory at a time."""
    captions: dict[Path, str] = {}
    for start in range(0, len(pictures), BATCH_SIZE):
        read = {path: reader.read(path) for path in pictures[start : start + BATCH_SIZE]}
        sound = {path: picture for path, picture in read.items() if picture is not None}
        captions.update(zip(sound, captioner.caption(list(sound.values())), strict=True))
    return captions


def _unreadable_error(side: str, pictures: Sequence[Path], reader: PictureReader) -> DatasetError:
    path, reason = next((path, reader.unreadable[path]) for path in pictures if path in reader.unreadable)
    expected = f"none of the {len(pictures)} {side} pictures can be read; the first: {reason}"
    return DatasetError([Fault(file=str(path), expected=expected)])


def _digest(table: CaptionTable) -> str:
    """What identifies the pairs, wherever the pictures lie."""
    pairs = [(_name(picture, table.images), caption) for picture, caption in table.pairs]
    return "sha256:" + hashlib.sha256(json.dumps(pairs).encode()).hexdigest()


def _name(picture: Path, images: Path) -> str:
    return picture.relative_to(images).as_posix()
