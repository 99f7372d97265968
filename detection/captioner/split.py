"""Pictures to train on and pictures to measure on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from detection.captioner.table import CaptionTable
from generator.foundation.errors import DatasetError, Fault
from generator.foundation.seeds import derive_rng

# Position below the run's seed: generator/foundation/seeds.py; detection/captioner/trainer.py has the others.
_SPLIT = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Pictures to train on and pictures to measure on; no picture is on both sides."""

    train: tuple[Path, ...]
    val: tuple[Path, ...]


def split_pictures(table: CaptionTable, *, val_share: float, seed: int) -> Split:
    """Hold out a share of the pictures, at least one, each with all its captions.

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
    return Split(
        train=tuple(picture for number, picture in enumerate(pictures) if number not in chosen),
        val=tuple(picture for number, picture in enumerate(pictures) if number in chosen),
    )
