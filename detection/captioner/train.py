"""Fine-tune a captioner on pictures with captions, and measure what it gained."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from detection.captioner.folder import PLOT, TuningFolder, check_is_ours, tuning
from detection.captioner.reader import PictureReader
from detection.captioner.report import draw_losses
from detection.captioner.result import CaptionerResult, Counts, Example
from detection.captioner.scores import score_captions
from detection.captioner.settings import CaptionerSettings, Listener
from detection.captioner.split import split_pictures
from detection.captioner.table import CaptionTable
from detection.captioner.trainer import learning_rate, train_captioner, unreadable_error
from detection.work_folder import remove
from generator.bundles import ModelRef
from generator.dataset.pictures import spread
from generator.foundation.errors import BoxpaintError
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
            remove(folder.checkpoint)  # a kill may have come between the result and its removal
            return finished
        reader = PictureReader(table.images, captioner.processor.image_processor)
        train, val = (
            [(picture, caption) for picture in side for caption in table.captions[picture]]
            for side in (split.train, split.val)
        )
        notes: dict[str, Any] = {}
        if not folder.checkpoint.exists():
            pictures = [split.val[number] for number in spread(len(split.val), MAX_SCORED_PICTURES)]
            listener.on_stage(f"captioning {len(pictures)} validation pictures with the model as it is")
            notes["before"] = _caption(captioner, pictures, reader)
            if not notes["before"]:
                raise unreadable_error("validation", pictures, reader)
        rate = learning_rate(captioner.model, settings)
        losses, best = train_captioner(
            captioner.model,
            captioner.processor,
            reader,
            settings,
            train=train,
            val=val,
            device=device,
            checkpoint=folder.checkpoint,
            made_from=folder.identity,
            notes=notes,
            listener=listener,
        )
        before: dict[str, str] = notes["before"]
        part = folder.save_model(captioner.model, captioner.processor)
        listener.on_stage(f"captioning {len(before)} validation pictures with the fine-tuned model")
        # As a run would load it.
        tuned = Captioner(ModelRef(folder=str(part)), device=device, offline=True)
        after = _caption(tuned, [table.images / name for name in before], reader)
        if not after:  # pictures may have gone since they were captioned before
            raise unreadable_error("validation", split.val, reader)
        references = {name: table.captions[table.images / name] for name in after}
        result = CaptionerResult(
            folder=out,
            best_epoch=best,
            learning_rate=rate,
            losses=losses,
            before=score_captions([before[name] for name in after], [*references.values()]),
            after=score_captions([*after.values()], [*references.values()]),
            counts=Counts(
                train_pictures=len(split.train),
                train_captions=len(train),
                val_pictures=len(split.val),
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
        draw_losses(out / PLOT, result.losses, result.best_epoch)
        folder.finish(result, about={"base_model": ref.folder or ref.id, "table": table.file.name})
        return result


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
