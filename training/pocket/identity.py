"""What a training was made from: its part, seed, recipe and data, so that none goes on from another's checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from generator.foundation.storage import sha256_of, translate_os_errors
from training.pocket.smears import files_of

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def identify(
    part: str, seed: int, recipe: DataclassInstance, *, files: Mapping[str, Path], photos: Path | None = None
) -> dict[str, str]:
    """Name what a training is made from: part, seed, each field of its recipe, and digests of what it learns from.

    `photos` is a folder as `read_smears` takes it; of its photos those for training and validation count. Raises
    BoxpaintError when something cannot be read.
    """
    values = {field.name: repr(getattr(recipe, field.name)) for field in fields(recipe)}
    digests = {name: _digest([path]) for name, path in files.items()}
    if photos is not None:
        digests["data"] = _digest(files_of(photos, ("train", "val")))
    return {"part": part, "seed": str(seed), **{f"recipe.{name}": value for name, value in values.items()}, **digests}


def _digest(paths: Sequence[Path]) -> str:
    """Digest of files and, of several, of their names; wherever they lie."""
    if len(paths) == 1:
        with translate_os_errors(paths[0]):
            return f"sha256:{sha256_of(paths[0])[:16]}"
    digest = hashlib.sha256()
    for path in paths:
        with translate_os_errors(path):
            digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    return f"sha256:{digest.hexdigest()[:16]}"
